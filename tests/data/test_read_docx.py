"""DOCX beyond plain paragraphs: tracked changes, content controls, fields, and bombs."""

import zipfile

import docx
import pytest
from docx.oxml import parse_xml

from vecsmith.data import list_files, read_sections

SPACE = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
PROMPT = "<w:sdtPr><w:showingPlcHdr/></w:sdtPr>"
CONTENTS = (
    '<w:sdtPr><w:docPartObj><w:docPartGallery w:val="Table of Contents"/></w:docPartObj></w:sdtPr>'
)


def run(words):
    return f"<w:r><w:t>{words}</w:t></w:r>"


def control(content, properties=""):
    return f"<w:sdt>{properties}<w:sdtContent>{content}</w:sdtContent></w:sdt>"


def texts(tmp_path, *elements):
    """Write a DOCX of these elements of the body, and read it."""
    document = docx.Document()
    for element in elements:
        name = element.split(">", 1)[0].split()[0]
        document.element.body.insert_element_before(
            parse_xml(element.replace(name, f"{name} {SPACE}", 1)), "w:sectPr"
        )
    document.save(str(tmp_path / "t.docx"))
    (file,) = list_files(tmp_path / "t.docx", skipped=lambda item: pytest.fail(str(item)))
    sections = read_sections(file, skipped=lambda item: pytest.fail(str(item)))
    return [block for section in sections for block in section.text.split("\n\n")]


def test_tracked_changes_are_read_as_accepted(tmp_path):
    assert texts(
        tmp_path,
        f"<w:p>{run('Open ')}<w:ins>{run('the valve')}</w:ins>"
        "<w:del><w:r><w:delText>the door</w:delText></w:r></w:del></w:p>",
        f"<w:p>{run('Here: ')}<w:moveTo>{run('moved')}</w:moveTo></w:p>",
        f"<w:p>{run('Gone.')}<w:moveFrom>{run('moved')}</w:moveFrom></w:p>",
    ) == ["Open the valve", "Here: moved", "Gone."]


def test_content_controls_and_fields(tmp_path):
    cell = f"<w:tc><w:p>{run('cell')}</w:p></w:tc>"
    row = f"<w:tr>{cell}{control(cell.replace('cell', 'own'))}</w:tr>"
    inserted = control(f"<w:ins>{run('Ada')}</w:ins>")
    grid = "<w:tblPr/><w:tblGrid><w:gridCol/><w:gridCol/></w:tblGrid>"
    assert texts(
        tmp_path,
        control(control(f"<w:p>{run('Whole paragraph.')}</w:p>")),
        f"<w:p>{run('Signed by ')}{inserted}</w:p>",
        f'<w:p>{run("Page ")}<w:fldSimple w:instr="PAGE">{run("7")}</w:fldSimple></w:p>',
        f"<w:tbl>{grid}{row}{control(row.replace('cell', 'second'))}</w:tbl>",
    ) == ["Whole paragraph.", "Signed by Ada", "Page 7", "cell | own\nsecond | own"]


def test_prompts_and_the_table_of_contents_are_no_text(tmp_path):
    assert texts(
        tmp_path,
        control(f"<w:p>{run('Introduction 1')}</w:p>", CONTENTS),
        f"<w:p>{run('Name: ')}{control(run('Click here to enter text.'), PROMPT)}</w:p>",
    ) == ["Name:"]


@pytest.mark.parametrize(("limit", "suffix"), [("LARGEST", "bin"), ("LARGEST_XML", "xml")])
def test_many_parts_that_are_too_large_together(tmp_path, monkeypatch, limit, suffix):
    monkeypatch.setattr(f"vecsmith.data.readers._docx.{limit}", 1 << 21, raising=False)
    docx.Document().save(str(tmp_path / "b.docx"))
    with zipfile.ZipFile(tmp_path / "b.docx", "a", zipfile.ZIP_DEFLATED) as bundle:
        for number in range(3):
            bundle.writestr(f"word/part{number}.{suffix}", bytes(1 << 20))
    (file,) = list_files(tmp_path / "b.docx", skipped=lambda item: pytest.fail(str(item)))
    skipped = []
    assert list(read_sections(file, skipped=skipped.append)) == []
    assert skipped[0].reason.startswith("DOCX that unpacks to 3 MiB")
