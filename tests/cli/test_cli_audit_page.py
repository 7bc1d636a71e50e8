"""The page of `luspool audit report --html`, as a browser shows it: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import os
import shutil

import pytest

from ..unit.luspool_audit.logs import LogMaker, small_log

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="there is no Chromium here, so the page is not looked at (install Debian's package `chromium`; 2026-11-26)",
)


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  only where there is a browser

    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses to work for root, as whom tests often run in containers.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def show(luspool, chromium):
    """Makes the page of a log and opens it. Whatever the page complains of, or asks the network for, is an error."""
    pages = []

    def shown(log: LogMaker, complains_of: str | None = None, **options):
        log.write(luspool.directory / "run.jsonl")
        made = luspool("audit", "report", "--html", "run.jsonl")
        assert (made.stderr, made.returncode) == ("", 0)
        file = luspool.directory / "report.html"
        file.write_text(made.stdout, encoding="utf-8")
        page = chromium.new_page(**options)
        trouble: list[str] = []
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("dialog", lambda dialog: trouble.append(dialog.message))
        page.on("request", lambda request: trouble.append(request.url) if request.url != file.as_uri() else None)
        page.goto(file.as_uri())
        pages.append((page, trouble, complains_of))
        return page

    yield shown
    for page, trouble, complains_of in pages:
        assert [each for each in trouble if complains_of is None or complains_of not in each] == []
        page.close()


def column(page, table: str, number: int) -> list[str]:
    return page.locator(f"table.{table} tbody tr td:nth-child({number})").all_inner_texts()


def long_log() -> LogMaker:
    log = LogMaker().state()
    for count in (9, 10, 1):
        log.decision("fs:read", f"/srv/{'deep/' * 60}{count}.csv", count=count)
    return log.footer()


def test_tables_are_sorted_by_a_click_on_a_heading(show):
    page = show(long_log())
    assert column(page, "decisions", 5) == ["9", "10", "1"]
    heading = page.locator("table.decisions th", has_text="Times")
    heading.get_by_role("button").click()
    assert (column(page, "decisions", 5), heading.get_attribute("aria-sort")) == (["1", "9", "10"], "ascending")
    heading.get_by_role("button").press("Enter")
    assert (column(page, "decisions", 5), heading.get_attribute("aria-sort")) == (["10", "9", "1"], "descending")


def test_without_its_script_the_page_shows_the_same(show):
    with_script, without = show(small_log()), show(small_log(), java_script_enabled=False)
    assert (with_script.locator("th button").count(), without.locator("th button").count()) == (19, 0)
    texts = [page.locator("body").inner_text() for page in (with_script, without)]
    assert "Granted, never used" in texts[1]
    assert texts[0] == texts[1]


def test_a_name_that_would_be_a_script_is_text(show):
    """Were it not escaped, the dialog would be trouble; were it not for the page's policy, the second would be, too."""
    name = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    page = show(LogMaker(script=name).state(script=name).decision("fs:read", f"/srv/{name}"))
    assert column(page, "states", 2) == [name]
    assert column(page, "decisions", 4) == [f"/srv/{name}"]


def test_the_policy_of_the_page_lets_no_other_script_run(show):
    page = show(small_log(), complains_of="Content Security Policy")
    refused = page.evaluate(
        """() => new Promise((resolve) => {
            document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
        })"""
    )
    assert (refused, page.evaluate("window.ran")) == ("script-src-elem", None)


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_into_narrow_and_wide_windows_and_either_scheme(show, width, scheme):
    page = show(long_log(), viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    brightness = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (brightness == "rgb(255, 255, 255)") is (scheme == "light")


def test_the_tree_and_the_time_line_are_drawn(show):
    page = show(small_log())
    root, worker = page.locator(".tree summary").all()
    assert root.bounding_box()["x"] < worker.bounding_box()["x"]
    root.click()
    assert not worker.is_visible()  # folded away with what is above it
    denied = page.locator(".timeline .denied")
    assert denied.count() == 1
    assert 1 < denied.bounding_box()["width"] < 10
