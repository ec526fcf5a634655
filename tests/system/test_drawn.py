"""What drawings have beside nodes, on real containers: loops, people who are asked, rules, and what is remembered."""

from tests.system.test_workflows import Caller, caller

__all__ = ["caller"]  # a fixture


async def _drawn(caller: Caller, slug: str, *nodes: tuple[str, str, object], edges: tuple[str, ...]) -> None:
    """A workflow of these nodes: name, component, and what it is set to; an edge is `a b`, or `a b label`."""
    await caller.ask("POST", "workflows/", {"name": slug, "slug": slug}, status=201)
    for name, component, extra in nodes:
        await caller.node(slug, name, component, config={"extra_config": extra or {}})
    for edge in edges:
        source, target, label, value = (*edge.split(), "", "")[:4]
        said = {"edge_type": "conditional", "condition_value": value} if value else {"edge_label": label}
        await caller.edge(slug, source, target, **said)
    assert await caller.ask("POST", f"workflows/{slug}/validate/") == {"valid": True, "errors": []}


async def test_a_loop_runs_its_body_for_each_item_of_a_list(caller: Caller) -> None:
    await _drawn(
        caller,
        "loud",
        ("press", "trigger_manual", None),
        ("words", "code", {"code": "return input.split()"}),
        ("each", "loop", {"max_iterations": 10}),
        ("shout", "code", {"code": "return input.upper()"}),
        ("join", "code", {"code": "return '-'.join(input)"}),
        edges=("press words", "words each", "each shout loop_body", "shout each loop_return", "each join"),
    )
    ran = await caller.ask("POST", "workflows/loud/execute/", {"text": "pear plum fig"})
    found = await caller.ended(ran["execution_id"])
    assert (found["status"], found["error_message"]) == ("completed", "")
    assert "PEAR-PLUM-FIG" in str(found["final_output"])


async def test_a_switch_goes_by_rules_on_what_a_node_gives(caller: Caller) -> None:
    rules = [{"id": "dear", "field": "order.total", "operator": "gt", "value": 100}]
    await _drawn(
        caller,
        "till",
        ("press", "trigger_manual", None),
        ("order", "code", {"code": "return {'order': {'total': int(input)}}"}),
        ("way", "switch", {"rules": rules, "enable_fallback": True}),
        ("ask", "code", {"code": "return 'ask the boss'"}),
        ("pay", "calculator", {"expression": "2 + 3"}),
        ("both", "merge", None),
        edges=("press order", "order way", "way ask - dear", "way pay - __other__", "ask both", "pay both"),
    )
    for text, answer in (("120", "ask the boss"), ("99", "5")):
        ran = await caller.ask("POST", "workflows/till/execute/", {"text": text})
        found = await caller.ended(ran["execution_id"])
        assert found["status"] == "completed", found
        assert answer in str(found["final_output"])


async def test_a_person_is_asked_before_it_goes_on(caller: Caller) -> None:
    await _drawn(
        caller,
        "careful",
        ("press", "trigger_manual", None),
        ("sure", "human_confirmation", {"prompt": "Really?"}),
        ("go", "code", {"code": "return 'gone'"}),
        edges=("press sure", "sure go"),
    )
    ran = await caller.ask("POST", "workflows/careful/execute/", {"text": "now"})
    run = ran["execution_id"]
    assert (await caller.ask("GET", f"executions/{run}/"))["status"] in ("interrupted", "pending")
    await caller.ask("POST", f"flow/approve/{run}/sure.approval", {"Approve": True})
    found = await caller.ended(run)
    assert (found["status"], found["error_message"]) == ("completed", "")
    assert "gone" in str(found["final_output"])


async def test_what_a_run_remembers_a_later_one_knows(caller: Caller) -> None:
    await _drawn(
        caller,
        "tell",
        ("chat", "trigger_chat", None),
        ("note", "memory_write", {"key": "favourite", "scope": "user"}),
        edges=("chat note",),
    )
    await _drawn(
        caller,
        "ask",
        ("chat", "trigger_chat", None),
        ("look", "memory_read", {"key": "favourite", "default": "nobody said"}),
        edges=("chat look",),
    )

    async def answer(slug: str, text: str) -> str:
        ran = await caller.ask("POST", f"workflows/{slug}/execute/", {"text": text})
        found = await caller.ended(ran["execution_id"])
        assert (found["status"], found["error_message"]) == ("completed", "")
        return str(found["final_output"])

    assert "nobody said" in await answer("ask", "what is it?")
    assert "plums" in await answer("tell", "plums")
    assert "plums" in await answer("ask", "what is it?")


async def test_another_workflow_runs_only_where_a_switch_leads_to_it(caller: Caller) -> None:
    await _drawn(
        caller,
        "inner",
        ("called", "trigger_workflow", None),
        ("loud", "code", {"code": "return input.upper()"}),
        edges=("called loud",),
    )
    await _drawn(
        caller,
        "maybe",
        ("press", "trigger_manual", None),
        ("way", "switch", {"rules": [{"id": "sub", "operator": "contains", "value": "deep"}], "enable_fallback": True}),
        ("sub", "workflow", {"workflow_slug": "inner"}),
        ("here", "code", {"code": "return 'shallow'"}),
        ("both", "merge", None),
        edges=("press way", "way sub - sub", "way here - __other__", "sub both", "here both"),
    )
    for text, answer, runs in (("shoal", "shallow", 0), ("deep sea", "DEEP SEA", 1)):
        ran = await caller.ask("POST", "workflows/maybe/execute/", {"text": text})
        found = await caller.ended(ran["execution_id"])
        assert (found["status"], found["error_message"]) == ("completed", "")
        assert answer in str(found["final_output"])
        assert (await caller.ask("GET", "executions/?workflow_slug=inner"))["total"] == runs
