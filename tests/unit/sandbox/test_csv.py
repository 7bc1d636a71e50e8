"""fromcsv and tocsv: RFC 4180 rule by rule, header rows, ragged rows, errors."""

from __future__ import annotations

import pytest

READ = {  # text -> rows, as the JSON of them
    "": "[]",
    "a": '[["a"]]',
    "a,b": '[["a","b"]]',
    "a,b\r\nc,d\r\n": '[["a","b"],["c","d"]]',
    "a,b\r\nc,d": '[["a","b"],["c","d"]]',
    "a\nb\rc\r\nd": '[["a"],["b"],["c"],["d"]]',
    "\r\n": "[[]]",
    "a\r\n\r\nb\r\n": '[["a"],[],["b"]]',
    "\n\r": "[[],[]]",
    ",": '[["",""]]',
    "a,": '[["a",""]]',
    ",\r\n,,\r\n": '[["",""],["","",""]]',
    " a , b ": '[[" a "," b "]]',
    '"a"': '[["a"]]',
    '""': '[[""]]',
    '"",""': '[["",""]]',
    '"a,b",c': '[["a,b","c"]]',
    '"a\r\nb"\r\nc': '[["a\\r\\nb"],["c"]]',
    '"a\nb","c\rd"': '[["a\\nb","c\\rd"]]',
    '"a""b"': '[["a\\"b"]]',
    '""""': '[["\\""]]',
    '"""a"""': '[["\\"a\\""]]',
    '"""",""""""': '[["\\"","\\"\\""]]',
    'a"b': '[["a\\"b"]]',
    'a"b",c': '[["a\\"b\\"","c"]]',
    ' "a"': '[[" \\"a\\""]]',
    "1,2.5,true": '[["1","2.5","true"]]',
    "a;b,c": '[["a;b","c"]]',
    "\ufeffa,b": '[["a","b"]]',
    'é,"ü"': '[["é","ü"]]',
    "a\0b,c": '[["a\\u0000b","c"]]',
}


def test_what_is_read_from_each_text(printed):
    source = "for _, text in ipairs((...)) do print(tojson(fromcsv(text))) end"
    lines = printed(source, arguments=(list(READ),))
    assert dict(zip(READ, lines, strict=True)) == READ


def test_other_delimiters(printed):
    source = """
        for _, delimiter in ipairs({ ";", "\\t", "|", " ", "%", "^", "]", "-", "a", "\\0", "\\xff" }) do
          local rows = fromcsv(`x${delimiter}"y${delimiter}z"\\n`, nil, delimiter)
          print(#rows[1], rows[1][1], rows[1][2] == "y" .. delimiter .. "z",
                fromcsv(tocsv(rows, delimiter), nil, delimiter)[1][2] == rows[1][2])
        end
    """.replace("${delimiter}", "$(delimiter)")
    assert printed(source) == ["2\tx\ttrue\ttrue"] * 11


HEADERS = """
    local function show(rows) print(tojson(rows)) end
    show(fromcsv("name,size\\na,1\\n\\nb,2", true))
    show(fromcsv("name,size\\na\\nb,2,3,4", true))
    show(fromcsv("name,size", true)) show(fromcsv("", true)) show(fromcsv("\\na,b", true))
    show(fromcsv("a,1\\nb,2", { "name", "size" })) show(fromcsv("a,1", {}))
    show(fromcsv("a,b\\nc,d", false))
    show(fromcsv('"x,y","z\\n"\\n1,2', true))
    show(fromcsv("\\xEF\\xBB\\xBFname\\n1", true))
"""


def test_header_rows_and_lists_of_names(printed):
    assert printed(HEADERS) == [
        '[{"name":"a","size":"1"},[],{"name":"b","size":"2"}]',
        '[{"name":"a"},{"3":"3","4":"4","name":"b","size":"2"}]',
        "[]",
        "[]",
        '[["a","b"]]',
        '[{"name":"a","size":"1"},{"name":"b","size":"2"}]',
        '[["a","1"]]',
        '[["a","b"],["c","d"]]',
        '[{"x,y":"1","z\\n":"2"}]',
        '[{"name":"1"}]',
    ]


WRITTEN = {
    "{}": "",
    "{{}}": "\r\n",
    "{{'a', 'b'}, {'c'}}": "a,b\r\nc\r\n",
    "{{1, 2.5, -0.0, 1e100, true, false}}": "1,2.5,-0.0,1e+100,true,false\r\n",
    "{{'', ''}, {''}}": ',\r\n""\r\n',
    "{{nil, 'b', nil, 'd'}}": ",b,,d\r\n",
    "{{'a,b', 'a\"b', 'a\\nb', 'a\\rb', ' a '}}": '"a,b","a""b","a\nb","a\rb", a \r\n',
    "{{'\"'}}": '""""\r\n',
    "{{enum red, green end}}": "red\r\n",
    "setmetatable({setmetatable({'a'}, {__index = error, __len = error})}, {__index = error, __len = error})": "a\r\n",
}


def test_what_is_written_for_each_table(printed):
    source = "".join(f"print(tojson(tocsv({rows})))\n" for rows in WRITTEN)
    expected = [tojson_string(text) for text in WRITTEN.values()]
    assert printed(source) == expected


def tojson_string(text):
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{quoted}"'


def test_long_rows_and_many_rows_come_back(printed):
    source = """
        local rows = {}
        for i = 1, 3000 do rows[i] = { i, "x,y", i % 3 == 0 and "" or nil, "end" } end
        rows[1501] = {}
        for i = 1, 10000 do rows[1501][i] = "f" .. i end
        local back = fromcsv(tocsv(rows))
        print(#back, #back[1501], back[1501][10000], back[3000][1], back[3000][2], back[3000][4])
    """
    assert printed(source) == ["3000\t10000\tf10000\t3000\tx,y\tend"]


ERRORS = {
    "fromcsv('\"a')": "invalid CSV at position 1 (line 1): a quoted field that does not end",
    "fromcsv('a\\nb,\"c\\n')": "invalid CSV at position 5 (line 2): a quoted field that does not end",
    "fromcsv('a\\r\\n\"b\" ,c')": (
        "invalid CSV at position 7 (line 2): text after the end of the quoted field that begins at position 4"
    ),
    "fromcsv('\"a\\n\\nb\"c')": (
        "invalid CSV at position 7 (line 3): text after the end of the quoted field that begins at position 1"
    ),
    "fromcsv('a,b,a\\n1,2,3', true)": "invalid CSV at position 1 (line 1): the column 'a' is there twice",
    "fromcsv('a', {'x', 'x'})": "bad argument #2 to 'fromcsv' (column 'x' is there twice)",
    "fromcsv('a', {'x', 5})": "bad argument #2 to 'fromcsv' (column 2 is no string)",
    "fromcsv('a', 'name')": "bad argument #2 to 'fromcsv' (boolean or list of names expected, got string)",
    "fromcsv('a', nil, '')": "bad argument #3 to 'fromcsv' (one byte expected that is no quote and no line end)",
    "fromcsv('a', nil, ';;')": "bad argument #3 to 'fromcsv' (one byte expected that is no quote and no line end)",
    "fromcsv('a', nil, '\"')": "bad argument #3 to 'fromcsv' (one byte expected that is no quote and no line end)",
    "fromcsv('a', nil, {})": "bad argument #3 to 'fromcsv' (string expected, got table)",
    "fromcsv()": "bad argument #1 to 'fromcsv' (string expected, got nil)",
    "tocsv('a')": "bad argument #1 to 'tocsv' (table expected, got string)",
    "tocsv({}, '\\n')": "bad argument #2 to 'tocsv' (one byte expected that is no quote and no line end)",
    "tocsv({{1}, 'a'})": "row 2 is no table",
    "tocsv({{name = 'a'}})": "row 1 has a key that is no number of a column",
    "tocsv({{}, {'a', {}}})": "row 2, column 2: cannot write a table",
    "tocsv({{vector.create(1)}})": "row 1, column 1: cannot write a vector",
    "tocsv({{print}})": "row 1, column 1: cannot write a function",
    "tocsv({{[2000] = 1}})": "row 1 has more than 1000 holes",
    "tocsv({{[math.maxinteger] = 1}})": "row 1 has more than 1000 holes",
    "tocsv({{[0] = 1}})": "row 1 has a key that is no number of a column",
}


def test_errors_say_where(printed):
    source = "".join(f"print((select(2, catch {call})))\n" for call in ERRORS)
    lines = printed(source)
    expected = [f"main.lus:{number}: {text}" for number, text in enumerate(ERRORS.values(), 1)]
    assert dict(zip(ERRORS, lines, strict=True)) == dict(zip(ERRORS, expected, strict=True))


def test_errors_have_the_position_of_the_script(lus):
    assert lus("\nfromcsv('\"')").failure().message.startswith("main.lus:2: invalid CSV at position 1 (line 1): ")
    assert lus("\n\ntocsv({1})").failure().message == "main.lus:3: row 1 is no table"
    assert lus("tocsv()").failure().message == "main.lus:1: bad argument #1 to 'tocsv' (table expected, got nil)"


@pytest.mark.parametrize("text", ['"" * 500000', '"," * 500000', '"\\r\\n" * 500000', '"x" * 1000000'])
def test_a_million_bytes_of_one_kind_come_back(printed, text):
    piece, _, count = text.partition(" * ")
    source = f"""
        local text = ({piece!r}):rep({count})
        local rows = fromcsv(text)
        print(tocsv(rows) == text or tocsv(rows) == text .. "\\r\\n", (pcall(fromcsv, '"' .. text)))
    """.replace(repr(piece), piece)
    assert printed(source) == ["true\tfalse"]
