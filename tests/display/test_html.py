import base64

from matplotlib.figure import Figure

from hybridner.display.html import page, png


def test_a_page_is_complete_and_its_title_is_escaped():
    made = page("<A> & B", "<p>body</p>", "p { color: red; }")
    assert made.startswith("<!doctype html>")
    assert "<title>&lt;A&gt; &amp; B</title>" in made
    assert made.index("p { color: red; }") < made.index("</style>") < made.index("<p>body</p>")
    assert "prefers-color-scheme: dark" in made
    assert 'name="viewport"' in made


def test_a_page_requests_nothing_from_the_network():
    made = page("A", "")
    assert not any(word in made for word in ("http:", "https:", "url(", "@import", "<script", "<link"))


def test_a_picture_is_its_png_inside_the_page():
    figure = Figure(figsize=(1, 1), dpi=50)
    head, data = png(figure).split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
    assert png(figure) == f"{head},{data}"
