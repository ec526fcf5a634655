"""The names of the flwd surface's problems."""

from pathlib import Path

from pupload.api.flwd import problems


def test_every_slug_is_a_title_when_its_words_begin_with_capitals() -> None:
    assert problems.title("job-not-found") == "Job Not Found"
    page = (Path(__file__).parents[2] / "docs" / "reference" / "flwd-api.md").read_text(encoding="utf-8")
    slugs = {*problems.SLUGS.values(), *(slug for _, slug, _ in problems._OF_ERRORS)}
    assert not [slug for slug in slugs if f"`{slug}`" not in page]
