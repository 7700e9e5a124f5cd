import re

import pytest

from arsr.book import printed

HEAD = (
    '<link rel="stylesheet" href="../_static/a.css"><script>window.MathJax = {}</script>'
    '<script src="../_static/vendor/mathjax/tex.js"></script><script src="../_static/theme.js"></script>'
)


def page(title: str, body: str) -> str:
    heading = f'<h1>{title}<a class="headerlink" href="#top">#</a></h1>'
    inner = f'<section id="top">{heading}<section id="same"><h2>Where <em>it</em> is</h2>{body}</section></section>'
    return f"<html><head>{HEAD}</head><body><nav>menu</nav><article>{inner}</article></body></html>"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "book").mkdir()
    links = '<a href="02-b.html#same">b</a><a href="#same">here</a><a href="02-b.html">whole</a>'
    links += '<a href="../claims.json">file</a><a href="https://example.org/x#y">outside</a>'
    body = f'{links}<img src="../_images/f.svg" alt="f"><img src="data:image/webp;base64,AA" alt="poster">'
    body += '<script>fetch("https://example.org")</script><details class="records" open><p>r</p></details>'
    (tmp_path / "book" / "01-a.html").write_text(page("A &amp; B", body), encoding="utf-8")
    (tmp_path / "book" / "02-b.html").write_text(page("B", "<p>text</p>"), encoding="utf-8")
    return tmp_path


def test_pages_join_with_links_within(folder):
    text = printed.join(folder, ["book/01-a", "book/02-b"], "The <book>")
    assert text == printed.join(folder, ["book/01-a", "book/02-b"], "The <book>")
    assert "<title>The &lt;book&gt;</title>" in text
    identifiers = re.findall(r' id="([^"]+)"', text)
    assert len(identifiers) == len(set(identifiers)) == 6
    inside = re.findall(r'href="#([^"]+)"', text)
    assert {"02-b--same", "01-a--same", "02-b"} <= set(inside) <= set(identifiers)
    assert 'href="claims.json"' in text and 'href="https://example.org/x#y"' in text
    assert 'src="_images/f.svg"' in text and 'src="data:image/webp;base64,AA"' in text
    assert '<li><a href="#01-a">A &amp; B</a><ol><li><a href="#01-a--same">Where <em>it</em> is</a>' in text


def test_scripts_stay_behind_but_for_mathematics(folder):
    text = printed.join(folder, ["book/01-a", "book/02-b"], "t")
    assert text.count("window.MathJax") == text.count("_static/vendor/mathjax/tex.js") == 1
    assert text.count('href="_static/a.css"') == 1 and 'href="_static/print.css"' in text
    assert "theme.js" not in text and "fetch(" not in text and "menu" not in text
    assert '<details class="records"><p>r' in text


def test_reading_order():
    includes = {"a": ["b", "d"], "b": ["c"]}
    assert printed.order(includes, "a") == ["a", "b", "c", "d"]
