import pytest

from models.card import Card, InvalidCard, Source, parse_card, read_card, write_card

CARD = Card(
    name="figures-64",
    kind="stylegan3-t",
    arguments={"z_dim": 64, "mapping_kwargs": {"num_layers": 2}},
    resolution=64,
    z_dim=64,
    c_dim=0,
    w_dim=64,
    num_ws=10,
    sha256="ab" * 32,
    source=Source(file="x.pkl"),
    metrics=({"kimg": 4.0, "kid_lite0": 0.25},),
    notes=("Größe × 2",),
)
TEXT = "name: a\nkind: testcard\nresolution: 64\nz_dim: 16\nc_dim: 0\nw_dim: 16\nnum_ws: 1\n"


def test_a_written_card_reads_back_the_same(tmp_path):
    write_card(CARD, tmp_path / "figures-64.card.yaml")
    assert read_card(tmp_path / "figures-64.card.yaml") == CARD
    assert [path.name for path in tmp_path.iterdir()] == ["figures-64.card.yaml"]


def test_what_nobody_stated_is_written_as_null(tmp_path):
    write_card(CARD, tmp_path / "c.yaml")
    text = (tmp_path / "c.yaml").read_text()
    assert "licence: null" in text
    assert "Größe × 2" in text
    assert read_card(tmp_path / "c.yaml").licence is None


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("", "found NoneType, expected a mapping"),
        ("- a\n- b", "found list, expected a mapping"),
        (TEXT + "colour: red\n", r"colour: Extra inputs are not permitted \(found 'red'\)"),
        (
            TEXT.replace("num_ws: 1", "num_ws: 0"),
            r"num_ws: .*greater than or equal to 1 \(found 0\)",
        ),
        (
            TEXT.replace("testcard", "biggest"),
            r"kind: Input should be 'testcard'.*\(found 'biggest'\)",
        ),
        (TEXT.replace("name: a\n", ""), "name: Field required"),
        (TEXT.replace("testcard", "stylegan2"), "sha256 is missing: a card must name the weights"),
        (TEXT + "name: b\n", "line 8: `name` is given twice"),
        (TEXT + "notes: [&a x, *a]\n", "line 8: aliases, deep nesting and bulk are refused"),
        (TEXT + "notes: " + "[" * 100 + "]" * 100, "line 8: aliases, deep nesting"),
        (TEXT + "notes: [", "is not readable YAML"),
        (TEXT + "notes: !!python/name:os.system\n", "is not readable YAML"),
        ("\x00", "is not readable YAML"),
        (TEXT + "sha256: abc\n", "sha256: String should match pattern"),
        ("#" * (2 << 20), "longer than 1048576 bytes"),
    ],
)
def test_a_bad_card_is_refused_with_its_place(text, finding):
    with pytest.raises(InvalidCard, match=finding) as caught:
        parse_card(text.encode(), "shows/a.card.yaml")
    assert str(caught.value).startswith("shows/a.card.yaml: ")
    assert len(str(caught.value)) < 1000


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(InvalidCard, match="is not readable YAML"):
        parse_card(b"\xff\xfe\xff", "a")


def test_a_missing_card_says_how_to_get_one(tmp_path):
    with pytest.raises(InvalidCard, match=r"can't be read .*wanderer import-model"):
        read_card(tmp_path / "none.card.yaml")


def test_aliases_are_never_written(tmp_path):
    shared = {"a": 1}
    card = CARD.model_copy(update={"data_set": {"x": shared, "y": shared}})
    write_card(card, tmp_path / "c.yaml")
    assert read_card(tmp_path / "c.yaml").data_set == {"x": {"a": 1}, "y": {"a": 1}}
