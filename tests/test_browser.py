"""The built pages in Chromium, from file://, with the network off. Needs `make book` first."""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

# the theme's first visit, before any mode is stored: harmless
EXPECTED = ("Got invalid theme mode",)


@pytest.fixture(scope="module")
def html(root) -> Path:
    folder = Path(os.environ.get("ARSR_HTML", root / "_build" / "embedded" / "html"))
    if not (folder / "index.html").exists():
        pytest.skip("no built book: run `make book` first")
    return folder


@pytest.fixture
def visit(html, browser):
    """Open a page offline, close the one before; returns it with what it complained of or asked of the network."""
    contexts = []

    def open_page(name: str, width: int = 1280, theme: str = "light"):
        while contexts:
            contexts.pop().close()
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, offline=True)
        contexts.append(context)
        context.set_default_timeout(120_000)  # print.html holds the whole book
        page, trouble = context.new_page(), []
        page.on("console", lambda m: trouble.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("requestfailed", lambda request: trouble.append(f"failed: {request.url}"))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else trouble.append(r.url))
        path, question, query = name.partition("?")
        page.goto((html / path).as_uri() + question + query)
        page.wait_for_timeout(500)  # scripts; of some file: pages Chromium never says "networkidle" under load
        return page, [t for t in trouble if not t.startswith(EXPECTED)]

    yield open_page
    for context in contexts:
        context.close()


def page_names(html: Path) -> list[str]:
    return [f"book/{p.name}" for p in sorted((html / "book").glob("*.html"))]


def test_pages_open_offline_without_complaint(html, visit):
    assert len(page_names(html)) >= 3
    for name in ["index.html", *page_names(html)]:
        page, trouble = visit(name)
        assert trouble == [], name
        assert page.locator("article h1").count() == 1, name
        prose = page.evaluate(
            "[...document.querySelectorAll('main p, main td, main li')].map(e => e.innerText).join(' ')"
        )
        assert "{num}" not in prose, name  # a role that was not understood


def test_mathematics_is_typeset(html, visit):
    page, _ = visit("book/01-data-and-degradation.html")
    page.wait_for_selector("mjx-container")
    assert page.locator("mjx-container").count() >= 4
    assert page.locator("mjx-merror").count() == 0
    fonts = page.evaluate("document.fonts.ready.then(f => [...f].filter(x => x.status == 'loaded').map(x => x.family))")
    assert any("MJXTEX" in family for family in fonts)


def test_pictures_load_and_have_alternative_text(html, visit):
    seen = 0
    for name in page_names(html):
        page, _ = visit(name)
        for image in page.locator("main img").all():
            width, alt = image.evaluate("e => [e.naturalWidth, e.alt]")
            assert width > 0 and len(alt) > 30, (name, alt)
            seen += 1
    assert seen >= 4


def test_the_dark_theme_leaves_the_pixels_alone(html, visit):
    page, _ = visit("book/01-data-and-degradation.html", theme="dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    filters = page.eval_on_selector_all("main .cell_output img", "all => all.map(e => getComputedStyle(e).filter)")
    assert filters and set(filters) == {"none"}


def test_links_inside_the_book_lead_somewhere(html, visit):
    for name in page_names(html):
        page, _ = visit(name)
        for href in page.eval_on_selector_all("a[href]", "links => links.map(a => a.href)"):
            if not href.startswith("file:"):
                continue
            target, _, fragment = href.removeprefix("file://").partition("#")
            assert Path(target).exists(), (name, href)
            if (
                fragment and target.endswith(".html") and not target.endswith(("/lab.html", "/clips.html"))
            ):  # there it is a state
                assert f'id="{fragment}"' in Path(target).read_text(encoding="utf-8"), (name, href)


def test_every_number_links_to_its_record(html, visit):
    page, _ = visit("book/00-introduction.html")
    badges = page.locator(".arsr-badge")
    kinds = {badges.nth(i).inner_text().split(":")[0] for i in range(badges.count())}
    assert kinds == {"paper", "from the paper's numbers", "recomputed", "measured"}
    page.locator("a[href*='record-table4.sosr.hmdb51.tsn.spatial']").first.click()
    page.wait_for_selector("tr:target")
    row = page.locator("tr:target")
    assert row.is_visible()  # the folded table opened
    assert "820" in row.inner_text() and "1530" in row.inner_text()


@pytest.mark.parametrize("width", [390, 768])
def test_narrow_screens_do_not_scroll_sideways(html, visit, width):
    for name in page_names(html):
        page, _ = visit(name, width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def serious(page, context: str | None = None) -> list[tuple[str, str]]:
    """What axe finds serious or worse in the page, or in a part of it: (rule, HTML)."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=context).response["violations"]
    return [(v["id"], n["html"][:120]) for v in found if v["impact"] in ("serious", "critical") for n in v["nodes"]]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_violation(html, visit, theme):
    for name in page_names(html):
        page, _ = visit(name, theme=theme)
        assert serious(page, "main") == [], (name, theme)


BESIDE = {  # pages of their own, in states that show their parts: what each waits for
    "clips.html": "#list button",
    "clips.html?#study=embedded-tsn&show=all&sort=name&matrix=1&clip=test-0-00000": "#answers td",
    "clips.html?#study=weizmann-tsn&stream=fused&show=wrong&a=hr&b=sosr": "#stored:visible",
    "clips.html?#study=ablation-embedded-tsn-spatial&show=all&sort=name": "#list small",
    "lab.html": "#start",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", BESIDE)
def test_axe_finds_no_serious_violation_beside_the_chapters(html, visit, name, theme):
    page, trouble = visit(name, theme=theme)
    page.wait_for_selector(BESIDE[name], state="attached")
    assert serious(page) == [] and trouble == []


def test_every_page_is_under_five_megabytes(html):
    sizes = {path.relative_to(html).as_posix(): path.stat().st_size for path in html.rglob("*.html")}
    assert len(sizes) > len(page_names(html))
    del sizes["print.html"]  # all pages in one
    assert {name: size for name, size in sizes.items() if size >= 5_000_000} == {}


@pytest.mark.parametrize(("words", "first"), [("WMSE", "SoSR method"), ("warp loss ToSR", "ToSR method")])
def test_search_finds_the_chapter_and_quotes_it(html, visit, words, first):
    page, trouble = visit(f"search.html?q={words}")
    page.wait_for_selector(".arsr-found li")
    found = page.locator(".arsr-found > li")
    assert found.first.inner_text().startswith(first)
    assert words.split()[0].lower() in {text.lower() for text in found.first.locator("mark").all_inner_texts()}
    link = found.first.locator("div a").first
    target = link.get_attribute("href")
    link.click()
    page.wait_for_url("**#*")
    assert page.locator(f"section[id='{target.partition('#')[2]}']").count() == 1 and trouble == []
    page, trouble = visit("search.html?q=<qqqq>")
    assert "No page has" in page.inner_text("#search-results") and page.locator("#search-results qqqq").count() == 0
    assert trouble == []


@pytest.mark.parametrize(
    ("clicks", "answer"),
    [
        pytest.param(["a:has-text('chapter 14')"], "arsr reproduce --data DATA", id="run it on my UCF101"),
        pytest.param(["a:has-text('WMSE')", "a:has-text('The loss')"], "def wmse", id="WMSE's code"),
        pytest.param([], "surveillance or other footage", id="which method for surveillance video"),
        pytest.param([], "the warp loss", id="what did ToSR gain"),
        pytest.param(["main a[href*='record-embedded']"], "python benchmarks/", id="how was this number made"),
    ],
)
def test_common_questions_are_answered_within_two_clicks(visit, clicks, answer):
    page, trouble = visit("book/00-introduction.html")
    for click in clicks:
        page.locator(f"main {click}" if click.startswith("a:") else click).locator("visible=true").first.click()
        page.wait_for_timeout(500)
    assert answer in page.inner_text("main") and trouble == []


def test_records_are_filtered_and_say_their_command(html, visit):
    page, trouble = visit("book/records.html")
    page.locator(".records-filter input").fill("embedded SRGAN bicubic temporal accuracy")
    page.wait_for_function("document.querySelector('.records-filter output').textContent")
    shown = page.locator(".records tbody tr:visible")
    assert 0 < shown.count() < 60
    assert all("srgan" in text.lower() and "temporal" in text for text in shown.all_inner_texts())
    study = page.locator("details.records:visible").first
    assert study.locator("summary code").inner_text().startswith("arsr ")
    page.locator(".records-filter input").fill("")
    page.wait_for_function("!document.querySelector('.records-filter output').textContent")
    assert page.locator("details.records:visible").count() == page.locator("details.records").count() and trouble == []


def test_a_link_to_a_record_opens_its_study_and_ends_the_filter(html, visit):
    page, trouble = visit("book/records.html")
    study = page.locator("details.records").last
    row = study.locator("tbody tr[id]").first
    page.locator(".records-filter input").fill("no such record")
    page.wait_for_function("document.querySelector('.records-filter output').textContent")
    study.evaluate("e => e.open = false")
    page.evaluate("id => { location.hash = id; }", row.get_attribute("id"))
    page.wait_for_function("!document.querySelector('.records-filter input').value")
    assert study.get_attribute("open") is not None and row.is_visible() and trouble == []


def test_wide_tables_say_that_they_scroll(html, visit):
    page, _ = visit("book/12-claims.html", width=390)
    for box in page.locator(".arsr-ledger:visible").all():
        wide = box.evaluate("e => e.scrollWidth > e.clientWidth + 1")
        hint = box.evaluate("e => getComputedStyle(e, '::before').content")
        assert ("scrolls sideways" in hint) == wide
    page, _ = visit("book/12-claims.html", width=1900)
    assert page.locator(".arsr-overview.arsr-wide").count() == 0


def test_intervals_by_tap_and_on_paper(html, visit, browser):
    page, _ = visit("book/00-introduction.html")
    number = page.locator("a[title^='95 %']").first
    page.emulate_media(media="print")
    assert "95 %" in number.evaluate("e => getComputedStyle(e, '::after').content")
    address = page.url
    context = browser.new_context(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 800}, offline=True)
    finger = context.new_page()
    finger.goto(address)
    number = finger.locator("a[title^='95 %']").first
    number.tap()
    assert finger.locator(".arsr-interval").inner_text() == number.get_attribute("title")
    assert finger.url == address
    number.tap()
    finger.wait_for_url("**/records.html#*")
    context.close()


def test_the_whole_book_on_one_page(html, visit):
    page, trouble = visit("print.html", width=680)  # A4 without its margins
    page.emulate_media(media="print")
    assert trouble == []
    assert page.locator("article h1").count() == len(page_names(html))
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    assert page.evaluate("[...document.images].every(image => image.naturalWidth && image.alt.length > 30)")
    lost = "links => links.map(a => a.getAttribute('href').slice(1)).filter(id => !document.getElementById(id))"
    assert page.eval_on_selector_all("a[href^='#']", lost) == []
