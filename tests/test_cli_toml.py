"""Sweep files: what is wrong with one is told with its line."""

import tomllib

import pytest
from commands import done, refused, refused_at, run
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdyn._cli_lines import lines_of

GOOD = """\
system = "fitzhugh_nagumo"
store = "cells.zarr"
[parameters]
a = 0.7
[over]
I = { start = 0.0, stop = 1.5, count = 4 }
"""

TRICKY = '''\
# a = 1 [b]
"quoted \\"key\\"" = "[over] # no comment"
dotted . 'literal.key'.c = 1
text = """
[not.a.table]
key = 1 \\""" still inside ""\\
"""
quotes = """two""""" # "
raw = \'\'\'
x = [1,
\'\'\'\'
  [ over . "I" ] # [comment]
start=0.0
list = [ 1, # one ]
  2, [3,
  4], "]", # }
]
inline = { p = 1, q.r = [{ s = 2 }], "t" = "}" }
when = 1979-05-27 07:32:00
[[many]]
name = 1
[[many]]

name = 2
["\\u03c3"]
value = -1e-05'''


def paths(data, path=()):
    """Path of everything in a document."""
    for name, value in data.items() if isinstance(data, dict) else enumerate(data):
        yield (*path, name)
        if isinstance(value, dict | list):
            yield from paths(value, (*path, name))


def lines_by(text):
    return {path: text.split("\n")[line - 1] for path, line in lines_of(text).items()}


def test_every_key_of_a_tricky_file_has_its_line():
    found = lines_of(TRICKY)
    assert set(found) == set(paths(tomllib.loads(TRICKY)))
    texts = lines_by(TRICKY)
    assert texts['quoted "key"',].startswith('"quoted')
    assert texts["dotted", "literal.key", "c"].startswith("dotted")
    assert texts["text",] == 'text = """'
    assert texts["quotes",].startswith("quotes")
    assert texts["raw",] == "raw = '''"
    assert texts["over", "I"].startswith("  [ over")
    assert texts["over", "I", "start"] == "start=0.0"
    assert texts["over", "I", "list", 0].startswith("list")
    assert texts["over", "I", "list", 2] == "  2, [3,"
    assert texts["over", "I", "list", 2, 1] == '  4], "]", # }'
    assert texts["over", "I", "inline", "q", "r", 0, "s"].startswith("inline")
    assert texts["over", "I", "when"].startswith("when")
    assert texts["many", 1, "name"] == "name = 2"
    assert texts["σ", "value"] == "value = -1e-05"
    assert lines_of(TRICKY.replace("\n", "\r\n")) == found


WORDS = st.text("ab=[]{}#,.'\"\\ \n\t\r", max_size=8)
KEYS = st.text("ab=[]{}#.'\\ \"", max_size=4)
VALUES = st.recursive(
    st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


def quoted(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + '"'


def raw(text):
    """The same as a text of several lines."""
    return '"""\n' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r") + '"""'


def written(value, pad):
    if isinstance(value, list):
        return f"[{pad}" + "".join(f"{written(part, pad)}{pad}, # ]}},\n" for part in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(name)} = {written(part, pad)}" for name, part in value.items()) + " }"
    return str(value)


@settings(max_examples=60, deadline=None)
@given(entries=st.lists(st.tuples(KEYS, VALUES, WORDS), max_size=4), pad=st.sampled_from([" ", "\n", "\n # ] \n"]))
def test_the_lines_are_those_where_the_keys_were_written(entries, pad):
    text, expected = "", {}
    for i, (name, value, word) in enumerate(entries):
        text += f"# {i} = [\n[t{i}.{quoted(name)}]\n"
        expected[f"t{i}", name] = text.count("\n")
        text += f"word = {raw(word)} # '''\n"
        expected[f"t{i}", name, "value"] = text.count("\n") + 1
        text += f"value = {written(value, pad)}\n"
        expected[f"t{i}", name, "after"] = text.count("\n") + 1
        text += "after = ''\n"
    found, data = lines_of(text), tomllib.loads(text)
    assert set(found) == set(paths(data))
    assert {path: found[path] for path in expected} == expected


@pytest.mark.parametrize(
    ("wrong", "right", "line", "parts"),
    [
        # syntax
        ('store = "cells.zarr"', "store = ", 2, ("Invalid value (column 9)",)),
        ('store = "cells.zarr"', 'system = "lorenz63"', 2, ("Cannot overwrite",)),
        ("count = 4 }", "count = 4 ", 6, ("column", "inline table")),
        ("[over]", "[over", 5, ("Expected ']'",)),
        ("count = 4 }\n", "count = 4 }\ntext = '''\n\n", 7, ("Expected \"'''\"", "(at the end of the file)")),
        ("a = 0.7", "a = 0.7\n[parameters]", 5, ("twice",)),
        # keys of the file
        ("store =", "stor =", 2, ("no key 'stor'; did you mean 'store'?",)),
        ('store = "cells.zarr"', "steps = 5", 2, ("no key 'steps'", "it belongs into [measure_options]")),
        ("fitzhugh_nagumo", "fitzhugh", 1, ("system: no system 'fitzhugh'; did you mean 'fitzhugh_nagumo'?",)),
        ('"fitzhugh_nagumo"', "7", 1, ("system: expected a text in quotes", "got 7")),
        ('"cells.zarr"', '""', 2, ("store: expected a text",)),
        ("[parameters]", "seed = -1\n[parameters]", 3, ("seed: must be a whole number from 0 to 4294967295, got -1",)),
        ("[parameters]", "seed = true\n[parameters]", 3, ("seed: must be a whole number", "got true")),
        ("[parameters]", 'precision = "half"\n[parameters]', 3, ('precision: expected "float32" or "float64"',)),
        ("[parameters]", 'memory = "lots"\n[parameters]', 3, ('memory: expected a size such as "2GB"', "'lots'")),
        ("[parameters]", "memory = 0\n[parameters]", 3, ("memory: expected a size",)),
        ("[parameters]", "chunk = 0\n[parameters]", 3, ("chunk: must be a whole number of at least 1, got 0",)),
        ("[parameters]", "keep = []\n[parameters]", 3, ("keep: expected an array of names",)),
        (
            "[parameters]",
            'keep = [\n"status",\n"x1"]\n[parameters]',
            5,
            ("keep: the measure gives nothing called 'x1'",),
        ),
        ("[parameters]", 'measure = "lyapunov"\n[parameters]', 3, ("measure: no measure 'lyapunov'; did you mean",)),
        ("[parameters]\na = 0.7", "parameters = 3", 3, ("expected a table, [parameters] with lines", "got 3")),
        # what is set
        ("a = 0.7", "c = 0.7", 4, ("[parameters] c: fitzhugh_nagumo has no parameter 'c'; ", "known: a, b")),
        ("a = 0.7", "v = 0.7", 4, ("[parameters] v: ", "it belongs into [start]")),
        ("a = 0.7", "a = [\n1.0,\n2.0]", 4, ("[parameters] a: a needs 1 numbers", "got 2")),
        ("a = 0.7", "a = nan", 4, ("[parameters] a: expected a finite number, got nan",)),
        ("a = 0.7", 'a = "high"', 4, ("[parameters] a: expected a finite number, got the text 'high'",)),
        ("a = 0.7", "a = true", 4, ("[parameters] a: expected a finite number, got true",)),
        ("a = 0.7", f"a = 1{400 * '0'}", 4, ("[parameters] a: expected a finite number",)),
        ("a = 0.7", 'a = 0.7\nmemory = "1GB"', 5, ("memory does not belong into [parameters]; write it above",)),
        ("a = 0.7", "a = [[1.0, 2.0],\n[3.0]]", 5, ("[parameters] a: entries of an array must be equally long",)),
        ("[over]", "[start]\nx0 = [1.0]\n[over]", 6, ("[start] x0: x0 needs 2 numbers",)),
        ("[over]", "[start]\nu = 1.0\n[over]", 6, ("[start] u: fitzhugh_nagumo has no state 'u'", "known: v, w")),
        ("[over]", "[options]\nn = 4\n[over]", 6, ("[options] n: fitzhugh_nagumo has no option 'n'; known: none",)),
        # what is swept
        ("count = 4", "count = 0", 6, ("[over] I: count must be a whole number of at least 2, got 0",)),
        ("count = 4", "count = 2.5", 6, ("[over] I: count must be a whole number of at least 2, got 2.5",)),
        ("{ start = 0.0, stop = 1.5, count = 4 }", "[0.0,\n1.0, 'x']", 7, ("[over] I: expected a finite number",)),
        (
            "{ start = 0.0, stop = 1.5, count = 4 }",
            "[]",
            6,
            ("[over] I: expected an array of values", "an empty array"),
        ),
        ("{ start = 0.0, stop = 1.5, count = 4 }", "0.5", 6, ("[over] I: expected an array of values", "got 0.5")),
        ("{ start = 0.0, stop = 1.5, count = 4 }", "[[1.0], [2.0]]", 6, ("[over] I: values of 'I' must have shape",)),
        (", count = 4", "", 6, ("[over] I: count is missing; a range is { start",)),
        ("count", "num", 6, ("[over] I: a range has no 'num'",)),
        ("stop = 1.5", "stop = 0.0", 6, ("[over] I: start and stop are the same",)),
        ("count = 4", "count = 4, log = true", 6, ("[over] I: a logarithmic range needs",)),
        ("count = 4", 'count = 4, log = "yes"', 6, ("[over] I: log must be true or false",)),
        ("I = {", "J = {", 6, ("[over] J: fitzhugh_nagumo has nothing to sweep called 'J'",)),
        ("I = {", "a = {", 6, ("[over] a: a is both swept and set; leave out [over] a or [parameters] a",)),
        (
            "I = { start = 0.0, stop = 1.5, count = 4 }",
            "\n[over.I]\nstart = 0\nstop=1\ncount=1",
            10,
            ("[over] I: count",),
        ),
        ("count = 4 }", "count = 4 }\nseed = 1", 7, ("seed does not belong into [over]; write it above",)),
        # options of the measure
        ("[over]", "[measure_options]\nn_steps = 5\n[over]", 6, ("no option 'n_steps'; did you mean 'steps'?",)),
        ("[over]", "[measure_options]\nsteps = 0\n[over]", 6, ("[measure_options] steps: must be a whole number",)),
        ("[over]", "[measure_options]\ndt = 0\n[over]", 6, ("[measure_options] dt: dt must be a finite number other",)),
        ("[over]", "[measure_options]\ndt = -1\n[over]", 6, ("dt must be positive",)),
        ("[over]", "[measure_options]\n\nmethod = 'rk5'\n[over]", 7, ("no method 'rk5'; did you mean 'rk4'?",)),
        (
            "[over]",
            "[measure_options]\nevery = 2\n[over]",
            6,
            ("every means nothing to lyapunov_spectrum", "leave it out"),
        ),
        ("[over]", "[measure_options]\nexponents = 3\n[over]", 6, ("between 1 and the dimension 2, got 3",)),
        ("[over]", "[measure_options]\nseed = 3\n[over]", 6, ("seed does not belong into [measure_options]",)),
    ],
)
def test_each_error_has_its_line(tmp_path, wrong, right, line, parts):
    file = tmp_path / "sweep.toml"
    assert GOOD.count(wrong) == 1
    file.write_text(GOOD.replace(wrong, right))
    refused_at(file, line, parts)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("system is missing",)),
        (GOOD.replace('store = "cells.zarr"', ""), ("store is missing", "--store PATH")),
        (GOOD[: GOOD.index("[over]")], ("nothing to sweep; give [over] with a = { start",)),
        ("a = " + 3000 * "[", ("nested too deeply",)),
    ],
)
def test_what_is_missing_has_no_line(tmp_path, text, parts):
    (tmp_path / "sweep.toml").write_text(text)
    told = refused("run", tmp_path / "sweep.toml", "--no-cache")
    assert f"{tmp_path / 'sweep.toml'}: " in told
    for part in parts:
        assert part in told


def test_options_are_checked_by_their_kind_and_are_not_swept(tmp_path):
    file = tmp_path / "sweep.toml"
    text = 'system = "random_rnn"\nstore = "a"\nseed = 1\n[options]\nn = 4\n[over]\ng = [1.0, 2.0]\n'
    for wrong, right, line, part in (
        ("n = 4", 'n = "4"', 5, "[options] n: n is a whole number, such as 500; got '4'"),
        ("n = 4", "n = true", 5, "[options] n: n is a whole number"),
        ("n = 4", "phi = 3", 5, "[options] phi: phi is a text, such as tanh; got 3"),
        ("n = 4", "n = 4\nseed = 2", 6, "seed = 1 and [options] seed = 2 differ"),
        ("g = [1.0, 2.0]", "n = [3, 4]", 7, "n shapes random_rnn and cannot be swept"),
    ):
        file.write_text(text.replace(wrong, right))
        refused_at(file, line, (part,))
    file.write_text(text)
    assert run("run", file, "--no-cache", "--dry-run").exit_code == 0


def test_details_that_are_kept_can_be_drawn(tmp_path):
    (tmp_path / "sweep.toml").write_text(f'keep = ["running", "running_time"]\n{GOOD}')
    words = ("run", tmp_path / "sweep.toml", "--dry-run", "--plot", tmp_path / "p.png")
    told = done(*words, "--variable", "running", "--select", "exponent=0")
    assert "result: running (32, 2), float32" in told and "result: exponents" not in told


def test_what_is_no_text_file(tmp_path):
    assert "there is no file" in refused("run", tmp_path / "none.toml")
    assert "there is no file" in refused("run", tmp_path)
    (tmp_path / "a.toml").write_bytes(b'system = "a"\nstore = "\xff"\n')
    assert f"{tmp_path / 'a.toml'}:2: not UTF-8" in refused("run", tmp_path / "a.toml")
