import pytest

from arsr.book import filling, offline, pages, search
from arsr.records import Provenance, Record


def record(value=-0.705, unit="", **extra):
    source = Provenance(kind="recomputed", source='A "quoted" <b>chapter</b>', profile="embedded")
    return Record(key="q2.sosr+tosr.rho", value=value, unit=unit, description="rho", provenance=source, **extra)


def test_format_value():
    assert filling.value(record()) == "\N{MINUS SIGN}0.70"
    assert filling.value(record(53.59, "%"), ".1f") == "53.6\N{NO-BREAK SPACE}%"
    assert filling.value(record(17), ".0f") == "17"
    assert filling.value(record(1.5, "px", low=-1.0, high=2.0, interval="bootstrap"), ".1f", True) == (
        "1.5\N{NO-BREAK SPACE}px (\N{MINUS SIGN}1.0\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}2.0)"
    )


def test_badges_escape_what_they_show():
    text = filling.badge(record())
    assert "<b>" not in text and "&lt;b&gt;" in text and "arsr-badge-recomputed" in text


def test_anchors_are_distinct_for_distinct_methods():
    keys = ["table4.sosr.x", "table4.sosr+tosr.x", "data.epe_true", "data.epe.true"]
    assert len({filling.anchor(key) for key in keys}) == 4


def test_anchors_of_the_paper_are_unique():
    from arsr import paper

    keys = list(paper.records())
    assert len({filling.anchor(k) for k in keys}) == len(keys)


OUTSIDE = [
    '<script src="https://cdn.example.org/a.js"></script>',
    '<script src="//cdn.example.org/a.js"></script>',
    '<img src="HTTP://example.org/a.png">',
    '<img srcset="a.png 1x, https://example.org/b.png 2x">',
    '<link rel="stylesheet" href="https://example.org/a.css">',
    '<link rel="preconnect" href="https://example.org">',
    '<iframe src="https://example.org/v"></iframe>',
    '<video poster="https://example.org/p.png"></video>',
    '<div style="background: url(https://example.org/a.png)"></div>',
    "<style>@import 'https://example.org/a.css';</style>",
    '<script type="module">import x from "https://example.org/x.js"</script>',
    '<svg><image href="https://example.org/a.png"></image></svg>',
    '<base href="https://example.org/">',
    '<meta http-equiv="refresh" content="0; url=https://example.org/x">',
    "<script>fetch('https://example.org/x')</script>",
    '<script>const r = new XMLHttpRequest(); r.open("GET", "https://example.org/x")</script>',
    '<script>new Image().src = "https://example.org/x.png"</script>',
    '<script>new Worker("https://example.org/w.js")</script>',
    '<script>new WebSocket("wss://example.org/s")</script>',
    "<script>import('https://example.org/x.js')</script>",
    "<style>b { background: image-set('https://example.org/a.png' 1x) }</style>",
    '<body background="https://example.org/a.png"></body>',
    '<svg><filter><feImage href="https://example.org/a.png"/></filter></svg>',
    "<IMG ALT='>' SRC=https://example.org/a.png>",
    '<img title="a < b" alt=\'"\' src="https&#58;//example.org/a.png">',
    "<script>a</script><style>b { color: red } c { background: url(//example.org/a.png) }</style >",
]
INSIDE = [
    '<a href="https://example.org">a link is no load</a>',
    '<script src="../_static/a.js"></script>',
    '<img src="data:image/png;base64,AA==">',
    '<link rel="canonical" href="https://example.org/page">',
    "<p>https://example.org</p>",
    '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
    '<div style="background: url(#gradient)"></div>',
    '<audio src="data:audio/mpeg;base64,AAAA,//uQx"></audio>',
    '<script>const home = "https://example.org/"; // a comment about https://example.org/x</script>',
    '<meta http-equiv="refresh" content="0; url=book/00-introduction.html">',
    '<meta property="og:image" content="https://example.org/a.png">',
    '<!-- <img src="https://example.org/a.png"> -->',
    "<p title='<img src=\"https://example.org/a.png\">'></p>",
]


@pytest.mark.parametrize("text", OUTSIDE)
def test_loads_from_outside_are_found(tmp_path, text):
    (tmp_path / "page.html").write_text(f"<html><body>{text}</body></html>")
    [(name, url)] = offline.outside_loads(tmp_path)
    assert name == "page.html" and "example.org" in url


@pytest.mark.parametrize("text", INSIDE)
def test_links_and_local_files_are_not_loads(tmp_path, text):
    (tmp_path / "page.html").write_text(f"<html><body>{text}</body></html>")
    assert offline.outside_loads(tmp_path) == []


def test_style_sheets_are_searched_too(tmp_path):
    (tmp_path / "a.css").write_text(
        "@font-face { src: url('//fonts.example.org/a.woff2') } b { background: url(x.png) }"
    )
    assert offline.outside_loads(tmp_path) == [("a.css", "//fonts.example.org/a.woff2")]


def test_viewers_of_a_page_share_one_script():
    script = "<script data-arsr-viewer-script>\n1 < 2\n</script>"
    context = {"body": f"<p>a</p>{script}<p>b</p>{script}<script>other</script>{script}"}
    pages._finish_page(None, "page", "page.html", context, None)
    assert context["body"] == f"<p>a</p>{script}<p>b</p><script>other</script>"
    for body in ({}, {"body": None}, {"body": "<p>no viewer</p>"}):
        pages._finish_page(None, "page", "page.html", context := dict(body), None)
        assert context == body | {"script_files": [], "css_files": []}


def test_binder_opens_the_text_notebook():
    button = {"url": "https://mybinder.org/v2/gh/someone/arsr/main?urlpath=lab/tree/book/01-a.ipynb"}
    context = {"header_buttons": [{"type": "group", "buttons": [button, {"url": "../_sources/book/01-a.ipynb"}]}, {}]}
    pages._finish_page(None, "book/01-a", "page.html", context, None)
    assert [b["url"].rpartition("book/")[2] for b in context["header_buttons"][0]["buttons"]] == [
        "01-a.md",
        "01-a.ipynb",
    ]
    pages._finish_page(None, "search", "search.html", {}, None)


def test_links_to_the_laboratory_name_what_is_there():
    found = pages.LINKS["lab"](None, "look <clip=run&left=bicubic&right=sosr&layer=flow>")
    assert found == ("lab.html#clip=run&left=bicubic&right=sosr&layer=flow", "look", None)
    for wrong in ("look <clip=cook>", "look <left=magic>", "look <times=8>", "look <clip>"):
        with pytest.raises(ValueError):
            pages.LINKS["lab"](None, wrong)


def test_sections_hold_their_own_prose_then_code():
    from docutils.core import publish_doctree

    text = "Head\n====\n\nA *loss* counts.::\n\n    wmse(x)\n\nMore :math:`x^2`.\n\n"
    text += "Deep\n----\n\n.. raw:: html\n\n   <b>no</b>\n\nWords."
    page = publish_doctree(text, settings_overrides={"doctitle_xform": False, "raw_enabled": True})
    assert search.sections(page) == [("head", "Head", "A loss counts.: More . wmse(x)"), ("deep", "Deep", "Words.")]


def test_records_are_written_as_the_pages_write():
    assert (
        filling.spoken("SRGAN less VSR-DUF-52L, swing_bat, ut_interaction")
        == "SRGAN less DUF-52, swing bat, ut_interaction"
    )


def test_a_number_brings_its_interval_unless_it_is_there():
    shown = record(53.59, "%", low=51.1, high=56.1, interval="Wilson", p=0.1)
    assert pages._interval("key:.1f", shown) == "95 %: 51.10\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}56.10"
    for text in ("key:.1f interval", "key:p", "key:p .3f"):
        assert pages._interval(text, shown) == ""
    assert pages._interval("key", record()) == pages._interval("c4 paper", "mixed") == ""


def test_folded_code_says_what_it_makes():
    fold = '<p class="collapsed admonition-title">{}</p>'.format
    figure = '<figcaption><span class="caption-number">Fig. 2.1 </span></figcaption>'
    head = '<h2>What <em>they</em> cost<a class="headerlink" href="#x">#</a></h2>'
    body = "".join(
        [fold("Code of this figure"), figure, head, fold("Code of the table"), fold("Imports"), "<p>end</p>"]
    )
    found = pages._named(body)
    assert fold("Code of Fig. 2.1") + figure in found and fold("Code of the table: What they cost") in found
    assert fold("Imports") in found and pages._named("<p>Code of this figure</p>") == "<p>Code of this figure</p>"


def test_code_of_tables_stands_together_at_the_end_and_that_of_figures_where_it_is():
    def cell(title, code):
        head = f'<summary>\n<p class="collapsed admonition-title">{title}</p>\n</summary>\n'
        return f'<details class="admonition hide above-input">\n{head}<pre>{code}</pre>\n</details>\n<p>{code} out</p>'

    titles = (
        "Code of Fig. 2.1",
        "Code of the table: Costs",
        "Code of the viewer",
        "Imports",
        "Code of this sentence: End",
    )
    cells = [cell(title, f"c{i}") for i, title in enumerate(titles)]
    found = pages._gathered(f"<section>{''.join(cells)}</section>")
    start = found.index("Code of this chapter's 2 tables and computed sentences")
    assert [found.index(f"<pre>c{i}</pre>") > start for i in range(5)] == [False, True, False, False, True]
    assert all(found.count(f"<pre>c{i}</pre>") == 1 and f"<p>c{i} out</p>" in found[:start] for i in range(5))
    assert '<p class="rubric">the table: Costs</p>' in found and found.endswith("</details></div>\n</section>")
    alone = f"<section>{cells[1]}</section>"
    assert pages._gathered(alone) == alone
