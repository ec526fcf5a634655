"""What real nodes made, shown as tables by the real server, through the real store."""

import pytest

from pupload import errors
from pupload.client import Client
from tests.adapters.tables.test_parquet import of, written
from tests.system import flows

SCRIPT = 'echo id,name > "$OUTPUT_OUT"; cat "$INPUT_IN" >> "$OUTPUT_OUT"'
ORDER = flows.copying(SCRIPT, Inputs=[{"Name": "in"}], Outputs=[{"Name": "out", "Type": "text/csv"}])
ORDER["Flow"]["Name"] = "tables"


async def test_what_a_node_made_is_shown_told_of_and_compared(client: Client) -> None:
    first = await flows.finish(client, ORDER, there=b"1,a\n2,b\n3,\n")
    assert first["Status"] == "COMPLETE", first["Error"]
    shown = await client.told("preview", first["ID"], node="step", rows=2)
    assert shown["Rows"] == [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]
    assert shown["Truncated"]
    told = await client.told("profile", first["ID"], node="step")
    assert [(one["Name"], one["Type"], one["NullPct"]) for one in told["Profile"]["Columns"]] == [
        ("id", "number", 0.0),
        ("name", "string", 33.33),
    ]
    second = await flows.finish(client, ORDER, there=b"x,a\ny,b\n")
    told = await client.told("profile", second["ID"], node="step")
    assert told["ComparedWith"] == first["ID"]
    assert [(one["Column"], one["Type"], one["Severity"]) for one in told["Drift"]] == [
        ("id", "type_changed", "critical")
    ]
    await client.purge(first["ID"])
    with pytest.raises(errors.UnknownRun):
        await client.told("profile", first["ID"], node="step")
    assert (await client.told("profile", second["ID"], node="step"))["ComparedWith"] == ""


async def test_parquet_is_read_where_it_lies(client: Client) -> None:
    data = written(of("word", [f"word {number % 7}" for number in range(100_000)]))
    run = await flows.finish(client, flows.copying(), there=data)
    for edge in ("there", "here"):
        shown = await client.told("preview", run["ID"], edge=edge, rows=3)
        assert (shown["Kind"], [row["word"] for row in shown["Rows"]]) == ("parquet", ["word 0", "word 1", "word 2"])
    told = await client.told("profile", run["ID"], node="step")
    assert (told["Profile"]["RowCount"], told["Profile"]["Columns"][0]["UniqueCount"]) == (100_000, 7)


async def test_a_picture_is_no_table(client: Client) -> None:
    run = await flows.finish(client, flows.copying(), there=b"\x89PNG\r\n\x1a\n" + bytes(64))
    with pytest.raises(errors.Refused, match="no preview available"):
        await client.told("preview", run["ID"], node="step")
