"""What the Jinja of transformers makes of small templates.

    python make_jinja.py                  writes jinja.json, which is committed
    python make_jinja.py SEED OUT.json    writes other random templates; see docs/TRAINING.md

Each template sees VALUES. The result is its text, or null where Jinja raises an exception.
"""

import datetime
import itertools
import json
import pathlib
import random
import sys
import warnings

import transformers.utils.chat_template_utils as chat_templates

HERE = pathlib.Path(__file__).parent

VALUES = {
    "text": "  The Quick\tbrown fox,\n jumps. ",
    "word": "Straße",
    "empty": "",
    "zero": 0,
    "one": 1,
    "seven": 7,
    "minus": -7,
    "half": 0.5,
    "big": 9007199254740993,
    "yes": True,
    "no": False,
    "none": None,
    "numbers": [3, 1, 2],
    "words": ["b", "A", "c", "a"],
    "mixed": [1, "1", 1.0, True, None, [2], {"k": "v"}],
    "nested": {"b": {"c": [1, {"d": "é<'>&\"", "e": None}]}, "a": 2.5, "": False},
    "table": [
        {"name": "x", "age": 3, "ok": True},
        {"name": "y", "age": 1, "ok": False},
        {"name": "z", "age": 2},
        {"name": "x", "age": 3.0, "ok": None},
    ],
    "tree": [{"n": 1, "kids": [{"n": 2, "kids": []}, {"n": 3, "kids": [{"n": 4}]}]}, {"n": 5}],
    "unicode": "e\u0301 医院 👩‍👧 \u00a0\u2028x\u001cy\u200b",
    "quotes": "it's \"so\"",
    "lines": "a\r\nb\n\nc\n",
}

ATOMS = [
    "text", "word", "empty", "zero", "one", "minus", "half", "big", "yes", "none", "numbers",
    "mixed", "nested", "missing", "unicode", "quotes", "1.0", "1e20", "1e-7", "-0.0",
    "(1, 'a')", "(1,)", "()", "{}", "[]", "{1: 'a', none: 2}", "range(3)", "nested.items()",
    "nested.keys()", "nested.values()",
]

# A binary operation is tried on each pair of these.
OPERANDS = ["7", "-7", "2", "0", "2.5", "-0.5", "'ab'", "true", "none", "missing", "[1, 2]", "{'a': 1}", "(1, 2)"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or"]


def expressions():
    """Expressions that are printed."""
    for atom in ATOMS:
        yield atom
        yield f"'' ~ {atom}"
        yield f"[{atom}]"
        yield f"{atom}|string"
        yield f"{atom} is defined"
        yield f"'t' if {atom} else 'f'"
        yield f"not {atom}"
        yield f"{atom}|tojson"
        yield f"{atom}|length"
        yield f"{atom}|list"
        yield f"{atom}|first"
        yield f"{atom}|last"
        yield f"{atom}|int"
        yield f"{atom}|float"
        yield f"{atom}|upper"
        yield f"{atom}|trim"
        yield f"{atom}|default('d')"
        yield f"{atom}|default('d', true)"
        yield f"{atom}|join('-')"
        yield f"{atom}|reverse|list"
    for test in ["mapping", "sequence", "iterable", "string", "undefined", "none", "boolean", "integer",
                 "float", "number", "callable", "true", "false", "odd", "even", "lower", "upper", "defined"]:
        for atom in ["text", "word", "empty", "one", "half", "yes", "none", "numbers", "nested", "missing",
                     "(1, 2)", "range(3)", "raise_exception", "nested.items()", "7", "'ABC'"]:
            yield f"{atom} is {test}"
            yield f"{atom} is not {test}"
    for operator, left, right in itertools.product(OPERATORS, OPERANDS, OPERANDS):
        yield f"{left} {operator} {right}"
    yield from METHODS
    yield from FILTERS
    yield from MORE


METHODS = [
    "'a,b,,c'.split(',')", "'a,b,,c'.split(',', 1)", "'a,b,,c'.split(',', -1)", "' a  b '.split()",
    "' a  b c '.split(none, 1)", "'a b c'.split(maxsplit=1)", "'a b c'.rsplit(maxsplit=1)",
    "'a b c'.rsplit(' ', 1)", "'a,b,c'.rsplit(',', maxsplit=1)", "' a  b c '.rsplit(none, 1)", "'abc'.split('')",
    "'aXbXc'.split('X', 0)", "''.split()", "''.split(',')", "'a,b'.split(sep=',')", "'abab'.split('ab')",
    "'</think>x</think>y'.split('</think>')[-1]", "'</think>x'.split('</think>')[0].split('<think>')[-1]",
    "text.strip()", "text.lstrip()", "text.rstrip()", "'xxaxx'.strip('x')", "'xyaxy'.strip('yx')",
    "'xyaxy'.lstrip('x')", "'xyaxy'.rstrip('y')", "'xya'.strip('')", "'\\n a\\n'.strip('\\n')",
    "'\\n a\\n'.rstrip('\\n')", "'a'.strip(none)", "unicode.strip()", "'\u200ba\u200b'.strip()",
    "'abc'.startswith('a')", "'abc'.startswith(('x', 'ab'))", "'abc'.startswith('b', 1)", "'abc'.startswith('')",
    "'abc'.startswith(['a'])", "'abc'.endswith('c')", "'abc'.endswith(('x', 'c'))", "'abc'.endswith('b', 0, 2)",
    "'abc'.endswith('')", "'abc'.startswith('a', 0, 0)",
    "\"they're bill's\".title()", "'hELLO wORLD'.title()", "'3a b'.title()", "word.title()", "word.upper()",
    "word.lower()", "'İ'.lower()", "'ǆ'.title()", "word.capitalize()", "'hELLO'.capitalize()",
    "'ﬁx'.capitalize()", "'aB'.swapcase()", "word.casefold()", "'ΑΣ'.lower()",
    "'{} {}'.format(1, 'a')", "'{0} {1} {0}'.format(1, 2)", "'{a}'.format(a=1)", "'{:>5}|'.format('a')",
    "'{:.2f}'.format(half)", "'{!r}'.format('a')", "'{{}}'.format()", "'{}'.format(none)", "'{}'.format(yes)",
    "'{}'.format([1, 'a'])", "'{'.format()", "'{} {}'.format(1)", "'{:d}'.format(7)", "'{:05d}'.format(7)",
    "'{:,}'.format(1234567)", "'{0.a}'.format(nested)", "'{0[a]}'.format(nested)", "'{:<3}|{:^3}|'.format('a', 'b')",
    "'%s' % 'a'", "'%d' % 7", "'%s %s' % (1, 'a')", "'%05.1f' % half", "'%s' % none", "'%%' % ()", "'%r' % 'a'",
    "'%(a)s' % {'a': 1}", "'%s' % [1]", "'%s %s' % [1, 2]", "'%x' % 255",
    "','.join(['a', 'b'])", "','.join('abc')", "','.join([1])", "''.join([])", "','.join(nested)",
    "','.join(words)", "'-'.join(('a', 'b'))", "','.join(missing)", "','.join(none)",
    "'abcabc'.find('c')", "'abcabc'.find('x')", "'abcabc'.rfind('c')", "'abcabc'.find('a', 1)",
    "'é医c'.find('c')", "'abcabc'.index('b')", "'abc'.index('x')", "'abcabc'.count('bc')", "'aaa'.count('aa')",
    "'aaa'.count('')", "'abcabc'.replace('b', 'X')", "'abcabc'.replace('b', 'X', 1)", "'abc'.replace('', '-')",
    "'aaa'.replace('aa', 'b')", "'abc'.replace('b', '', -1)", "'abc'.replace('b', 1)",
    "'a-b-c'.partition('-')", "'abc'.partition('-')", "'a-b-c'.rpartition('-')",
    "lines.splitlines()", "lines.splitlines(true)", "lines.splitlines(keepends=true)", "unicode.splitlines()",
    "'abc'.removeprefix('ab')", "'abc'.removesuffix('bc')", "'abc'.removeprefix('x')", "'abc'.removesuffix('')",
    "'abc'.isalpha()", "'ab1'.isalnum()", "'12'.isdigit()", "'²'.isdigit()", "'½'.isnumeric()", "'１'.isdecimal()",
    "' \\t'.isspace()", "''.isspace()", "'Ab'.istitle()", "'ab'.islower()", "'AB1'.isupper()", "'a b'.isidentifier()",
    "''.isalpha()", "'é'.isascii()", "'a1'.islower()", "'123'.islower()",
    "'5'.zfill(3)", "'-5'.zfill(4)", "'a'.ljust(3)", "'a'.rjust(3, '*')", "'ab'.center(5)", "'ab'.center(5, '*')",
    "'a\\tb'.expandtabs()", "'a\\tb'.expandtabs(4)", "'abc'.encode()", "'a'.ord()", "'abc'.unknown()",
    "'abc'.translate({97: 'x'})",
    "nested.get('a')", "nested.get('x')", "nested.get('x', 'd')", "nested.get('a', 'd')", "nested.get('')",
    "nested.items()|list", "nested.keys()|list", "nested.values()|list", "nested.items()|length",
    "nested.keys()[0]", "nested.items()[0]", "(nested.items()|list)[0][1]", "nested.copy()", "nested.pop('a')",
    "nested.update({'z': 1})", "{'a': 1}.setdefault('b', 2)", "{}.fromkeys([1])", "nested.clear()",
    "numbers.index(1)", "numbers.index(9)", "numbers.count(1)", "mixed.count(1)", "numbers.copy()",
    "numbers.append(4)", "numbers.sort()", "numbers.pop()", "numbers.insert(0, 1)", "numbers.extend([1])",
    "numbers.reverse()", "numbers.unknown()", "(1, 2).index(2)", "(1, 1).count(1)", "(7).bit_length()",
    "one.real", "half.is_integer()", "'abc'.upper", "numbers.length", "nested.length", "'abc'.length",
    "nested.items", "nested.b.c[1].d", "nested['b']['c'][0]", "nested.b.c[5]", "nested.x", "nested.x.y",
    "nested['x']['y']", "missing.x", "missing['x']", "none.x", "none['x']", "one.x", "text.x", "text['x']",
    "numbers.x", "numbers['0']", "numbers[0]", "numbers[-1]", "numbers[3]", "numbers[-4]", "numbers[1.0]",
    "numbers[true]", "numbers.0", "nested[none]", "'abc'[0]", "'abc'[-1]", "'abc'[3]", "'é医c'[1]", "text[0:5]",
    "'abc'[0][0]", "(1, 2)[1]", "(1, 2)[-3]", "range(5)[2]", "range(5)[-1]", "range(5)[1:3]",
    "'abcdef'[1:4]", "'abcdef'[::-1]", "'abcdef'[4:1:-1]", "'abcdef'[::2]", "'abcdef'[-2:]", "'abcdef'[:-2]",
    "'abcdef'[10:]", "'abcdef'[-10:2]", "'é医c'[::-1]", "'abcdef'[::0]", "'abcdef'[1::-2]", "'abcdef'[none:2]",
    "numbers[::-1]", "numbers[1:]", "numbers[:1]", "numbers[-2:-1]", "numbers[2:0:-1]", "numbers[5:]",
    "numbers[::-2]", "numbers[:-5:-1]", "numbers[1:][0]", "(1, 2, 3)[::-1]", "(1, 2, 3)[1:]", "nested[1:]", "none[1:]",
    "missing[1:]", "one[1:]", "numbers[1:'a']",
]

FILTERS = [
    "{'b': 1, 'a': [true, none, 1.5]}|tojson", "nested|tojson", "nested|tojson(indent=2)", "nested|tojson(indent=0)",
    "nested|tojson(2)", "nested|tojson(true)", "nested|tojson(indent='--')", "nested|tojson(sort_keys=true)", "nested|tojson(ensure_ascii=true)",
    "nested|tojson(ensure_ascii=false)", "nested|tojson(separators=(',', ':'))", "nested|tojson(separators=[',', ':'])",
    "nested|tojson(indent=4, separators=(',', ': '))", "nested|tojson(indent=none)", "nested|tojson(indent=-1)",
    "[]|tojson(indent=2)", "{}|tojson(indent=2)", "[[]]|tojson(indent=2)", "unicode|tojson", "quotes|tojson",
    "'\\x7f\\x00\\u2028'|tojson", "1e16|tojson", "1e-7|tojson", "big|tojson", "{1: 2, none: 3, true: 4, 1.5: 5}|tojson",
    "{2: 1, 10: 2}|tojson(sort_keys=true)", "{'b': 1, 1: 2}|tojson(sort_keys=true)", "missing|tojson", "range(3)|tojson",
    "(1, 2)|tojson", "nested.items()|tojson", "nested.keys()|tojson", "{(1, 2): 3}|tojson", "'</script>'|tojson",
    "[missing]|tojson", "nested|tojson(indent=true)", "nested|tojson(indent=1.5)",
    "table|selectattr('ok')|map(attribute='name')|list", "table|selectattr('name', 'equalto', 'x')|list|length",
    "table|selectattr('name', 'eq', 'x')|map(attribute='age')|list", "table|selectattr('name', '==', 'x')|list|length",
    "table|selectattr('age', 'gt', 1)|map(attribute='name')|list", "table|selectattr('age', 'in', [1, 2])|list",
    "table|selectattr('ok', 'defined')|list|length", "table|selectattr('ok', 'none')|list|length",
    "table|rejectattr('ok')|map(attribute='name')|join(',')", "table|rejectattr('name', 'equalto', 'x')|list",
    "table|rejectattr('ok', 'undefined')|list|length", "table|selectattr('x.y')|list", "table|selectattr('name', 'unknown')|list",
    "numbers|select('odd')|list", "numbers|select('gt', 1)|list", "mixed|select('string')|list", "mixed|select|list",
    "numbers|reject('odd')|list", "mixed|reject('none')|list", "mixed|reject|list", "numbers|select('divisibleby', 3)|list",
    "table|map(attribute='ok')|list", "table|map(attribute='ok', default='d')|list", "words|map('upper')|list",
    "words|map('replace', 'a', 'X')|list", "table|map('tojson')|list", "table|map(attribute='name')", "words|map('unknown')|list",
    "nested|map('upper')|list", "'abc'|map('upper')|list", "missing|map('upper')|list", "none|map('upper')|list", "table|map('length')|list",
    "words|map('default', 'x')|join", "[[1, 2], [3]]|map('join', '-')|list", "[[1, 2], [3, 4]]|map(attribute=1)|list",
    "[[1, 2], [3, 4]]|map('first')|list", "table|map(attribute='name')|unique|list", "table|map(attribute='name')|first",
    "words|join", "words|join(', ')", "mixed|join(',')", "table|join(',', attribute='name')", "'abc'|join('-')", "nested|join(',')",
    "none|join", "words|join(1)", "words|join(none)", "[[1], 'a']|join(',')", "words|join(d=';')",
    "text|trim", "text|trim(' ')", "'xxa'|trim('x')", "1|trim", "'a'|trim(none)", "none|trim",
    "'a\\nb\\n\\nc'|indent", "'a\\nb'|indent(2)", "'a\\nb'|indent(2, true)", "'a\\n\\nb'|indent(2, blank=true)", "'a\\nb'|indent('>>')",
    "'a\\nb'|indent(width=2, first=true)", "'a\\nb\\n'|indent(2)", "'a\\r\\nb'|indent(2)", "''|indent(2, true)", "1|indent",
    "'aba'|replace('a', 'x')", "'aba'|replace('a', 'x', 1)", "'aba'|replace('', '-')", "'aba'|replace('a', 1)", "121|replace(1, 'x')",
    "'a\\\"b'|replace('\\\"', '\\\\\\\"')", "none|replace('N', 'x')", "'aba'|replace('a', none)",
    "nested|items|list", "none|items|list", "missing|items|list", "numbers|items|list", "nested|dictsort", "nested|dictsort(reverse=true)",
    "{'b': 1, 'A': 3, 'c': 2}|dictsort", "{'b': 1, 'A': 3, 'c': 2}|dictsort(true)", "{'b': 1, 'A': 3}|dictsort(false, 'value')",
    "{'b': 2, 'A': 3, 'c': 1}|dictsort(by='value')", "{'b': 1}|dictsort(by='x')", "{1: 1, 'a': 2}|dictsort",
    "numbers|batch(2)|list", "numbers|batch(2, 'x')|list", "numbers|slice(2)|list", "numbers|slice(2, 'x')|list",
    "range(7)|slice(3)|list", "range(7)|batch(3)|list", "numbers|batch(0)|list",
    "numbers|first", "[]|first", "'abc'|first", "''|first", "nested|first", "numbers|last", "[]|last", "'abc'|last", "nested|last",
    "numbers|sort", "words|sort", "words|sort(case_sensitive=true)", "words|sort(reverse=true)", "numbers|sort(true)", "mixed|sort",
    "table|sort(attribute='age')|map(attribute='name')|join", "table|sort(attribute='name,age')|map(attribute='age')|list", "'bca'|sort",
    "nested|sort", "[1, 2.5, true]|sort", "['a', 1]|sort", "['é', 'f', 'e']|sort", "[[2], [1, 2]]|sort",
    "words|unique|list", "words|unique(true)|list", "[1, 1.0, true, '1']|unique|list", "table|unique(attribute='name')|list|length",
    "numbers|sum", "[0.1, 0.2, 0.3]|sum", "table|sum(attribute='age')", "numbers|sum(start=10)", "[]|sum", "words|sum", "[yes, yes]|sum",
    "numbers|min", "numbers|max", "words|min", "words|max", "words|min(case_sensitive=true)", "[]|min", "mixed|max", "table|max(attribute='age')",
    "numbers|reverse|list", "'abc'|reverse", "numbers|reverse", "nested|reverse|list", "1|reverse", "'é医'|reverse",
    "table|groupby('name')|length", "table|groupby('name')|map('first')|list", "table|groupby('age')|map(attribute='grouper')|list", "table|groupby('name')|list",
    "table|groupby('ok', default='x')|map('first')|list", "7|abs", "minus|abs", "half|abs", "'a'|abs",
    "2.5|round", "3.5|round", "2.567|round(2)", "2.567|round(1, 'floor')", "2.567|round(1, 'ceil')", "7|round", "-2.5|round", "2.5|round(method='ceil')",
    "1234|round(-2)", "'a'|round", "yes|round",
    "'7'|int", "'7.9'|int", "'a'|int", "'a'|int(9)", "'0x1F'|int(base=16)", "'ff'|int(0, 16)", "7.9|int", "-7.9|int", "none|int", "' 7 '|int",
    "'1_000'|int", "yes|int", "1e20|int", "'1e3'|int", "'７'|int", "'99999999999999999999'|int", "'0b1'|int(0, 2)",
    "'1.5'|float", "'a'|float", "'a'|float(2.0)", "7|float", "none|float", "'1e3'|float", "'nan'|float", "'inf'|float", "yes|float", "' 1.5 '|float",
    "'hello world'|title", "\"they're\"|title", "'a-b c_d'|title", "'HELLO wORLD'|title", "'hELLO'|capitalize", "word|upper", "word|lower", "1|upper",
    "'a b  c'|wordcount", "'a'|center(5)", "'ab'|center(5)", "'%s-%s'|format('a', 1)", "'%(x)s'|format(x=1)", "'%d'|format('a')", "'{}'|format(1)",
    "'<a>&\"'|escape", "'<a>'|e", "'<a>'|safe", "'<a>b</a>'|striptags", "'<a>'|forceescape", "('<a>'|escape)|tojson", "('<a>'|safe) ~ '<b>'", "('<a>'|escape) ~ '<b>'",
    "'hello world foo'|truncate(9)", "'hello world'|truncate(5, true)", "'hello'|truncate(3, true, '')", "'hello world foo'|truncate(9, leeway=0)", "'a b'|urlencode", "{'a': 1}|urlencode",
    "'a b c'|wordwrap(3)", "{'a': 1}|xmlattr", "1000000|filesizeformat", "nested|attr('a')", "text|attr('upper')", "nested|pprint", "words|random",
    "numbers|length", "'é医'|length", "numbers|count", "none|length", "1|length", "missing|length", "missing|default('d')", "missing|d('x')", "none|default('d')",
    "none|default('d', true)", "''|default('d', boolean=true)", "missing.x|default('d')", "nested.x|default('d')", "nested.x.y|default('d')", "missing|default",
    "zero|default(5, true)", "missing|default(none)", "range(3)|list", "range(1, 7, 2)|list", "range(5, 1, -2)|list", "range(0)|list", "range(-2)|list", "range(2)|string",
    "missing|upper", "missing|join", "missing|list", "missing|first", "missing|replace('a', 'b')", "missing|int", "missing|sort", "missing|items", "missing|trim",
    "none|upper", "none|lower", "none|string", "none|list", "yes|upper", "numbers|upper", "numbers|unknown", "numbers|string", "mixed|string|length", "'a'|list", "nested|list",
    "(1, 2)|list", "'abc'|select('in', 'ab')|join", "1|string ~ 2", "-1|abs", "(-1)|abs", "2 ** 3|abs", "not none|string", "1 + 2|string|length", "'a' ~ 1 + 2",
]

MORE = [
    "'a' 'b'", "'a' ~ 'b' 'c'", "'a' * 3", "3 * 'a'", "[1] * 2", "'a' + 'b'", "'a' + 1", "1 + 'a'", "[1] + [2]", "(1,) + (2,)", "[1] + (2,)",
    "'%s' % 1 ~ '%'", "7 / 2", "6 / 2", "7 // 2", "-7 // 2", "7 // -2", "7.5 // 2", "-7 % 3", "7 % -3", "-7.5 % 2", "7 % 2.5", "2 ** 10", "2 ** -1", "2 ** 0.5",
    "2 ** 63", "2 ** 64", "2 ** 127", "2 ** 128", "2 ** 200", "-2 ** 2", "(-2) ** 2", "2 ** 3 ** 2", "9223372036854775807 + 1", "9223372036854775807 * 2",
    "-9223372036854775808 - 1", "9223372036854775808", "170141183460469231731687303715884105727 + 1", "340282366920938463463374607431768211456",
    "99999999999 * 99999999999 * 99999999999 * 99999999999", "9007199254740993 + 0.0", "9007199254740993 == 9007199254740992.0", "big + 1", "big / 1", "big * 1.0",
    "1 / 0", "1 // 0", "1 % 0", "1.0 / 0", "0 ** 0", "0 ** -1", "0.1 + 0.2", "1.0", "1.50", "1e3", "1E3", "1_000", "0x1F", "0o17", "0b11", "1e400", "-1e400", ".5", "1.", "1.5e-10", "123456789.123456789",
    "1e22", "1e23", "1e15", "1e16", "100000000000000000000.0", "0.0001", "0.00001", "-0.0", "0.0 == -0.0", "5e-324", "1.7976931348623157e308",
    "1 < 2 < 3", "3 > 2 > 2", "1 < 2 == true", "1 == 1.0", "true == 1", "true == '1'", "'a' == 'a'", "'a' < 'b'", "'a' < 'B'", "'é' > 'z'", "none == none", "none == missing", "missing == missing",
    "missing == ''", "[1] == [1]", "[1] == (1,)", "[1, 2] < [1, 3]", "{'a': 1} == {'a': 1.0}", "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", "1 == '1'", "1 < '1'", "none < 1", "[1] < 1", "{} < {}", "true < 2", "true + true", "true * 3", "-true",
    "-'a'", "-none", "+1", "+'a'", "--1", "- -1", "+true", "-missing", "not 1 == 2", "not not 1", "1 in [1]", "1 in [1.0]", "'1' in [1]", "'a' in 'abc'", "'' in 'abc'", "1 in 'abc'", "'a' in {'a': 1}", "'a' in none", "'a' in missing", "'a' in 1",
    "'x' not in nested", "none in mixed", "1 in range(3)", "'a' in nested", "'b' in nested and nested.b", "1 in (1, 2)", "1 in 5", "missing in [missing]", "true in [1]",
    "'a' and 'b'", "'' and 'b'", "'' or 'b'", "none or none", "none or 0 or ''", "0 or missing or 'x'", "1 and missing", "[] or {}", "half and 1", "missing and 1", "missing or 'd'", "not missing", "not ''", "not [0]",
    "'a' if one else 'b'", "'a' if zero else 'b'", "'a' if zero", "('a' if zero) is undefined", "('a' if zero) ~ 'x'", "1 if missing else 2", "'a' if zero else 'b' if zero else 'c'", "'x' if missing is defined and missing.y else 'z'",
    "one is eq 1", "one is equalto(1)", "one is == 1", "one is ne 2", "one is lt 2", "one is lessthan 2", "one is le 1", "one is gt 0", "one is greaterthan 0", "one is ge 1", "6 is divisibleby 3", "6 is divisibleby(4)", "one is in [1]", "one is in numbers", "one is not in numbers", "'a' is in 'abc'", "one is sameas 1", "yes is sameas true", "none is sameas none", "one is sameas true",
    "'upper' is filter", "'unknown' is filter", "'odd' is test", "'x' is escaped", "one is unknown", "text is upper", "'ABC' is upper", "'aBC' is lower", "'' is lower", "'1' is upper", "one is odd", "half is odd", "'a' is odd", "yes is integer", "yes is number", "1.0 is integer", "1.0 is float", "none is none", "missing is none", "none is defined", "nested.x is defined", "nested.b.x is defined", "missing.x is defined", "numbers[9] is defined", "nested['b'] is mapping",
    "'\\n' ~ '\\t|\\\\|\\'|\\\"|\\x41|\\u00e9|\\U0001F600|\\101|\\0|\\a\\b\\f\\v'", "'\\d\\q\\ '", "\"a'b\"", "'a\"b'", "'a\nb'", "'\\\nx'", "'\\N{BULLET}'", "'\\ud83d\\ude00'", "'\\ud800'", "'\\xe9'", "'\\x4'", "'\\u12'", "'é医😀'", "'\\r\\n'", "'{{ x }}'", "'{% x %}'", "'#}'", "'%}'", "\"}}\"",
    "['é', '\\n', '\\\\', \"'\", '\"', '\\x7f', '\\u200b', '\\xad', '\\ufeff', '\\u2028', '\\x85', '\\xa0', '\U000e0001', '\\ue000', '\\u0378', '👩‍👧', 'e\\u0301']", "[unicode]", "[quotes]", "[\"it's\"]",
    "[]", "{}", "()", "(1)", "(1,)", "(1, 2)", "[1, 'a', none, true, 1.0]", "[[], {}, ()]", "{'a': 1, 'b': [1]}", "{'a': none, 2: true, none: 1.5, (1, 2): 'x'}", "{'a': 1, 'a': 2}", "{1: 'a', 1.0: 'b', true: 'c'}", "{'a': missing}", "[missing]", "(missing,)", "[1,]", "{'a': 1,}",
    "dict(a=1, b='x')", "dict({'a': 1}, b=2)", "dict([('a', 1)])", "dict()", "namespace(a=1).a", "namespace()", "namespace(a=1)", "range(3)", "range(1, 3)", "range(0, 9, 3)", "range(1.5)", "range('a')", "lipsum()|length > 0", "cycler('a', 'b').next()", "joiner(',')()", "joiner", "cycler", "range",
    "[1, 2] | map('string') | join", "[1, 2]|map('string')|list", "(1, 2)|first", "loop", "self", "varargs", "kwargs", "caller", "messages", "True", "False", "None", "true", "false", "TRUE", "nil", "null", "undefined",
    "raise_exception('x')", "raise_exception", "strftime_now('%d %B %Y')", "strftime_now()", "strftime_now('%')", "strftime_now(1)", "one(2)", "text()", "missing()", "nested.b()", "one.two.three", "1.5.x", "'a'.b.c", "text.__class__", "''.__class__.__mro__", "nested.__len__()", "numbers.__class__",
    "text|length > 3 and text|trim|length < 100", "(text|trim).split()[0]|lower", "table[0].name ~ table[-1]['age']", "table|length - 1", "table[table|length - 1].name", "table[1:]|map(attribute='name')|join(' ')", "table[::-1][0].name", "(table|first)['name']", "(nested.items()|first)[0]", "nested.b.c|last|tojson", "nested|length",
    "not (one and zero) or none", "1 if (one == 1 and not zero) else 2", "1 if one is defined and one is not none and one != '' else 0", "messages[0]['role'] == 'system'", "(one, two)", "one ~ two ~ 'x'", "[one, seven]|max ~ [half, one]|min", "1 - 1", "1 -1", "1-1", "one -1", "one-1", "2*-1", "- 1", "not-1", "1if 1 else 2",
]

STATEMENTS = [
    "{% if [] | selectattr('x') %}t{% else %}f{% endif %}", "{% if table|selectattr('name', 'equalto', 'q') %}t{% else %}f{% endif %}", "{% if table|selectattr('name', 'equalto', 'q')|list %}t{% else %}f{% endif %}",
    "{% set g = words|map('upper') %}{{ g|join }}|{{ g|join }}", "{% set g = words|map('upper') %}{{ g|first }}{{ g|list }}", "{% set g = words|map('upper') %}{{ 'A' in g }}{{ g|list }}", "{% set g = words|select %}{{ g|length }}", "{% set g = numbers|reverse %}{{ g[0] }}{{ g|list }}", "{% for x in words|map('upper') %}{{ loop.length }}{{ loop.revindex }}{{ x }}{% endfor %}",
    "{% for x in table|map(attribute='kids', default=[]) %}{{ x }}{% endfor %}", "{{ (words|map('upper'))[0] }}|", "{{ words|map('upper') }}", "{{ words|select('string')|string }}", "{{ words|random }}", "{{ text.upper }}", "{{ nested.items }}", "{{ nested.b.items }}", "{{ {'items': [1]}.items }}", "{{ {'items': [1]}['items'] }}", "{{ {'keys': 1}.keys is defined }}", "{{ {'title': 1}.title }}", "{{ {'count': 1, 'index': 2}.count }}", "{{ {'format': 'x'}.format }}",
    "{% set m = {'role': 'user', 'content': 'x'} %}{{ m.role|title }}: {{ m.content|safe }}", "{{ nested|tojson|safe }}", "{{ ('<' ~ word)|safe }}", "{{ 'a' ~ '<'|safe }}", "{{ ('<'|safe).strip() }}", "{{ ('<'|safe) + '>' }}", "{% set s = '<'|safe %}{{ s ~ '>' }}",
    "{% if loop is defined %}a{% else %}b{% endif %}", "{{ [1, 2, 3][1:]|tojson }}", "{{ (numbers + [4])|tojson }}", "{{ (numbers + [4])|length }}", "{{ numbers + [4] == [3, 1, 2, 4] }}", "{{ (numbers + [4])[3] }}", "{{ 4 in numbers + [4] }}", "{% for x in numbers + [4] %}{{ x }}{{ loop.last }}{% endfor %}", "{{ (numbers + [4]) is sequence }}", "{{ (numbers * 2)|length }}", "{% if numbers[5:] %}t{% else %}f{% endif %}", "{% if [] + [] %}t{% else %}f{% endif %}", "{{ ([] + [1])|string }}",
    "{% for x in numbers %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}",
    "{% for x in numbers %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}",
    "{% for x in numbers %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for x in numbers %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{% endfor %}",
    "{% for x in [1, 1, 2] %}{% if loop.changed(x) %}{{ x }}{% endif %}{% endfor %}", "{% for x in numbers %}{{ loop }}{% endfor %}", "{% for x in numbers %}{{ loop.unknown }}{% endfor %}",
    "{% for x in [] %}a{% else %}b{% endfor %}", "{% for x in missing %}a{% else %}b{% endfor %}", "{% for x in none %}a{% endfor %}", "{% for x in 3 %}a{% endfor %}", "{% for x in 'abc' %}{{ x }}.{% endfor %}", "{% for x in nested %}{{ x }}.{% endfor %}",
    "{% for k, v in nested.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in nested|items %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in nested|dictsort %}{{ k }};{% endfor %}", "{% for k, v in nested %}{{ k }}{% endfor %}", "{% for a, b in [[1, 2], [3, 4]] %}{{ a + b }};{% endfor %}", "{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}", "{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in ['xy', 'zw'] %}{{ a }}{{ b }};{% endfor %}", "{% for k in nested.keys() %}{{ k }}.{% endfor %}", "{% for v in nested.values() %}{{ v }}.{% endfor %}",
    "{% for x in numbers if x > 1 %}{{ x }}{{ loop.index }}{{ loop.last }}{% endfor %}", "{% for x in numbers if x > 9 %}{{ x }}{% else %}none{% endfor %}", "{% for x in numbers if loop.first %}{{ x }}{% endfor %}",
    "{% for x in numbers %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in numbers %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}e{% endfor %}", "{% break %}", "{% for x in numbers %}{% for y in numbers %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}", "{% for x in numbers %}{% break %}{% else %}e{% endfor %}",
    "{% for x in tree recursive %}{{ x.n }}{% if x.kids %}({{ loop(x.kids) }}){% endif %}{{ loop.depth }}{% endfor %}", "{% for x in tree %}{{ x.n }}{% for y in x.kids %}{{ y.n }}{{ loop.depth }}{% endfor %}{% endfor %}", "{% for x in tree recursive %}[{{ x.n }}{% for y in x.kids %}{{ loop.index }}{% endfor %}]{% endfor %}", "{% for x in tree recursive %}{{ x.n }}{{ loop(x.kids or []) }}{% endfor %}",
    "{% for x in numbers %}{% set y = x %}{% endfor %}{{ y }}|", "{% set y = 0 %}{% for x in numbers %}{% set y = y + x %}{{ y }}{% endfor %}{{ y }}", "{% set ns = namespace(y=0) %}{% for x in numbers %}{% set ns.y = ns.y + x %}{% endfor %}{{ ns.y }}", "{% set ns = namespace(a=1, b=[]) %}{% set ns.c = 3 %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns.d }}|", "{% set ns = namespace({'a': 1}) %}{{ ns.a }}", "{% set nested.x = 1 %}", "{% set ns = {'a': 1} %}{% set ns.a = 2 %}{{ ns.a }}",
    "{% if one %}{% set y = 1 %}{% endif %}{{ y }}", "{% if zero %}{% set y = 1 %}{% endif %}{{ y }}|", "{% if zero %}a{% elif one %}b{% else %}c{% endif %}", "{% if missing %}a{% else %}b{% endif %}", "{% if '' %}a{% elif none %}b{% elif 0.0 %}c{% elif [] %}d{% elif {} %}e{% else %}f{% endif %}", "{% if not numbers %}a{% else %}b{% endif %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1, 2] %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set (a, b) = (1, 2) %}{{ b }}", "{% set a, b = [1] %}{{ a }}", "{% set a %}x{{ one }}y{% endset %}{{ a }}|{{ a|length }}", "{% set a | upper %}x{{ one }}y{% endset %}{{ a }}", "{% set a %} \n x\n{% endset %}[{{ a }}]", "{% set a %}<b>{% endset %}{{ a }}{{ a ~ '<' }}", "{% set a %}{% for x in numbers %}{{ x }}{% endfor %}{% endset %}{{ a }}{{ a is string }}", "{% set a %}x{% endset %}{{ [a] }}", "{% set a | trim %}\n x \n{% endset %}[{{ a }}]", "{% set a | replace('x', 'y') | upper %}xz{% endset %}{{ a }}", "{% set x = one if yes else 2 %}{{ x }}", "{% set x = missing %}{{ x is defined }}", "{% set x = [] %}{% set x = x + [1] %}{{ x }}", "{% set x = {'a': 1} %}{{ x.a }}{{ x['a'] }}", "{% set loop = 1 %}{{ loop }}",
    "{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=4, a=5) }}{{ m() }}", "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}", "{% macro m() %}{{ one }}{% set one = 2 %}{{ one }}{% endmacro %}{{ m() }}{{ one }}", "{% macro m(x) %}{% if x > 0 %}{{ x }}{{ m(x - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}x{{ one }}{% endcall %}", "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) m() %}{{ a + b }}{% endcall %}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% macro m(a, b) %}{{ a }}{{ b is defined }}{% endmacro %}{{ m(1) }}", "{% macro m() %}x{% endmacro %}{{ m()|upper }}{{ m() ~ 'y' }}{{ m() | length }}{{ [m()] }}", "{% macro m(a=one, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(5) }}", "{% set y = 1 %}{% macro m() %}{{ y }}{% endmacro %}{% set y = 2 %}{{ m() }}", "{% macro m(x) %} {{- x -}} {% endmacro %}[{{ m('a') }}]", "{% macro m(x) -%}\n  {{ x }}\n{%- endmacro %}[{{ m('a') }}]", "{{ m(1) }}{% macro m(x) %}{{ x }}{% endmacro %}", "{% for i in numbers %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m.name }}{{ m.arguments }}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m }}", "{% macro m(l) %}{% for x in l %}{{ x }}{{ loop.index }}{% endfor %}{% endmacro %}{{ m(numbers) }}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{% macro m() %}{{ numbers|length }}{{ missing }}{% endmacro %}{{ m() }}", "{% macro m(x=[]) %}{{ x }}{% endmacro %}{{ m() }}",
    "{% filter upper %}a{{ word }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}aaa{% endfilter %}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}|", "{% with a = 1, b = a %}{{ b }}{% endwith %}|", "{% with %}{% set z = 1 %}{{ z }}{% endwith %}{{ z }}|", "{% with one = 5 %}{{ one }}{% endwith %}{{ one }}", "{% block b %}x{{ one }}{% endblock %}", "{% raw %}{{ x }}{% y %}{% endraw %}", "{% raw -%} a {%- endraw %}", "{%- raw %} a {% endraw -%} b", "{# c #}a{#- c -#} b {# {{ x }} #}", "{% autoescape true %}{{ '<' }}{% endautoescape %}", "{% do numbers.append(1) %}", "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}", "{% trans %}a{% endtrans %}", "{% debug %}", "{% unknown %}", "{% if one %}", "{{ one", "{% endif %}", "{{ }}", "{{ one two }}", "{{ 'a }}", "{%if one%}a{%endif%}", "{{one}}{{ one}}{{one }}",
    "a\n{% if one %}\nb\n{% endif %}\nc", "a\n  {% if one %}\n  b\n  {% endif %}\nc\n", "a\n  {%- if one %}\n  b\n  {%- endif %}\nc", "a\n  {% if one -%}\n  b\n  {% endif -%}\nc", "a {% if one %} b {% endif %} c", "  {{ one }}  \n  {{ one }}\n\n", "  {{- one -}}  \n x", "  {%+ if one %}a{% endif %}", "{% if one +%}\na{% endif %}", "a\n\t{% if one %}\tb{% endif %}", "x {% set a = 1 %} y", "x\n{% set a = 1 %}\ny", "x\n  {# c #}\ny", "x\n  {#- c -#}\n  y", "\n\na\n\n", "a\r\nb{% if one %}\r\nc{% endif %}", "a\u00a0{%- if one %}b{% endif %}", "a \u2003{{- one -}}\u2003 b", "{%- for x in numbers -%} {{ x }} {%- endfor -%} z", "{% for x in numbers %}\n{{ x }}\n{% endfor %}\nend", "{% for x in numbers -%}\n  {{ x }},\n{%- endfor %}\nend", "  {% for x in numbers %}  {{ x }}\n  {% endfor %}", "a{% if one %}\n\n\nb{% endif %}", "{{ one }}\n{{ one }}\n", "{{ '\n' }}x", "a\n", "a\n\n", "\n", "", " ", "{% if one %}a\n{% endif %}\n", "{{- '  a  ' -}}", "a  {{+ one }}", "a {{ one +}} b", "x\x0b{%- if one %}y{% endif %}", "x\x1c{%- if one %}y{% endif %}", "  {% if one %}{{ one }}{% endif %}  x", "a\n    {% if one %}{% if one %}\n    b\n    {% endif %}{% endif %}\nc",
    "{{ loop }}|", "{% set x = numbers %}{{ x is sameas numbers }}", "{{ none }}{{ true }}{{ missing }}{{ 1.0 }}{{ [none] }}", "{% for m in table %}{{ m['name'] + ': ' + m.age|string }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for m in table if m.ok is defined and m.ok %}{{ m.name }}{% endfor %}", "{% set first = table[0] %}{% set rest = table[1:] %}{{ first.name }}{% for m in rest %}{{ m.name }}{% endfor %}", "{% for m in table|reverse %}{{ m.name }}{{ loop.index0 }}{% endfor %}", "{% for m in table[::-1] %}{{ m.name }}{% endfor %}", "{% set x = table|selectattr('name', 'equalto', 'z')|first %}{{ x.age }}", "{% set n = namespace(last=-1) %}{% for m in table %}{% if m.name == 'x' %}{% set n.last = loop.index0 %}{% endif %}{% endfor %}{{ n.last }}", "{% if table[0]['ok'] is true and table|length > 2 %}a{% endif %}", "{% if 'name' in table[0] and table[0]['name'] is string %}a{% endif %}", "{% for i in range(table|length - 1, -1, -1) %}{{ table[i].name }}{% endfor %}", "{% for c in 'ab' %}{% for d in 'xy' %}{{ loop.index }}{{ c }}{{ d }}{% endfor %}{{ loop.index }}{% endfor %}", "{% for x in numbers %}{% set outer = loop %}{% for y in numbers %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{% set content = table[0].name %}{% if '</x>' in content %}a{% else %}{{ content.split('</x>')[-1].lstrip('\\n') }}{% endif %}", "{%- set x = '' -%}{%- if x -%}a{%- else -%}b{%- endif -%}", "{{ '\\n\\n' + 'a' }}{{ 'b' }}\n", "{{ ('a' ~ 'b') | upper }}", "{% for k, v in {'a': 1, 'b': {'c': 2}}.items() %}{{ k }}{% if v is mapping %}{% for k2, v2 in v.items() %}{{ k2 }}{{ v2 }}{% endfor %}{% else %}{{ v }}{% endif %}{% endfor %}", "{% for x in numbers %}{{ x if not loop.first }}{% endfor %}", "{% for x in numbers|sort %}{{ x }}{% endfor %}", "{% for g in table|groupby('name') %}{{ g.grouper }}{{ g.list|length }};{% endfor %}", "{% for g, l in table|groupby('name') %}{{ g }}{{ l|length }};{% endfor %}", "{% for b in numbers|batch(2) %}{{ b }}{% endfor %}", "{% set s = joiner(', ') %}{% for x in numbers %}{{ s() }}{{ x }}{% endfor %}", "{% set c = cycler('a', 'b') %}{% for x in numbers %}{{ c.next() }}{% endfor %}{{ c.current }}", "{% generation %}a{% endgeneration %}", "{% macro m(x) %}{% generation %}{{ x }}{% endgeneration %}{% endmacro %}{{ m('a') }}b",
]


SEED = 20241127
LEAVES = [
    "text", "word", "one", "minus", "half", "none", "yes", "missing", "numbers", "words", "nested", "table", "lines",
    "'a b'", "''", "'é'", "2", "0", "1.5", "[]", "{}", "['x', 'y']", "(1, 'b')", "{'k': [1, none]}", "range(2)",
    "table[0]", "nested.b", "nested['a']", "mixed[0]", "unicode", "quotes",
]
STEPS = [
    "|trim", "|upper", "|length", "|list", "|first", "|last", "|string", "|tojson", "|join('-')", "|default('d')",
    "|default('d', true)", "|int", "|float", "|sort", "|reverse", "|unique", "|map('string')", "|map('upper')", "|map('length')",
    "|map(attribute='name')", "|map(attribute='k')", "|select", "|reject('none')", "|select('string')", "|selectattr('name')", "|selectattr('ok', 'true')",
    "|rejectattr('name', 'in', ['x'])", "|items", "|dictsort", "|sum", "|min", "|max", "|batch(2)", "|replace('a', 'b')", "|indent(1)", "|title", "|capitalize",
    "|tojson(indent=1)", "[0]", "[-1]", "[1:]", "[::-1]", "[:1]", ".strip()", ".split()", ".split('a')", ".upper()", ".items()", ".keys()", ".values()",
    ".get('k')", ".get('name', 'd')", ".name", "['name']", ".k", ".startswith('a')", ".replace('a', '')", ".splitlines()", ".join(['a', 'b'])", " is string",
    " is mapping", " is iterable", " is sequence", " is defined", " is none", " is true", " is odd", "|list|length", "|map('tojson')|list", "|select|list", "|list|tojson",
]
JOINTS = [" + ", " ~ ", " == ", " < ", " in ", " not in ", " and ", " or ", " * ", " % ", " != ", " >= ", " - ", " // "]


def random_expressions(count, seed=0):
    """Chains of filters, methods, subscripts, tests and operators; the same ones for one seed."""
    chance = random.Random(seed)
    for _ in range(count):
        part = chance.choice(LEAVES)
        for _ in range(chance.randint(1, 4)):
            kind = chance.random()
            if kind < 0.75:
                part = (part if kind < 0.6 else f"({part})") + chance.choice(STEPS)
            elif kind < 0.92:
                part = f"({part}){chance.choice(JOINTS)}{chance.choice(LEAVES)}"
            else:
                part = f"{chance.choice(LEAVES)} if ({part}) else {chance.choice(LEAVES)}"
        yield part


def templates():
    for expression in itertools.chain(expressions(), random_expressions(2000, SEED)):
        yield "{{ " + expression + " }}"
    for expression in random_expressions(400, SEED + 1):
        yield "{% if " + expression + " %}t{% else %}f{% endif %}"
        yield "{% for x in " + expression + " %}{{ x }}{{ loop.last }}{{ loop.length }};{% endfor %}"
        yield "{% set y = " + expression + " %}{{ y }}|{{ y|list }}"
    yield from STATEMENTS


class Today(datetime.datetime):
    """The date of TemplateDate::default()."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


def rendered(template):
    """The text, or `None` if Jinja refuses the template."""
    values = json.loads(json.dumps(VALUES))
    try:
        text = chat_templates._compile_jinja_template(template).render(**values)
        text.encode()  # No tokenizer takes half a surrogate pair.
        return text
    except Exception:  # pylint: disable=broad-except
        return None


def main():
    global SEED  # pylint: disable=global-statement
    out = HERE / "jinja.json"
    if sys.argv[1:]:
        SEED, out = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    warnings.simplefilter("ignore")
    chat_templates.datetime = Today
    found = dict.fromkeys(templates())
    # What differs from run to run, addresses of objects and chance, must be refused.
    varies = ("|random", "lipsum", "|pprint")
    for template in found:
        text = rendered(template)
        if text and (" at 0x" in text or " AT 0X" in text or any(part in template for part in varies)):
            text = None
        found[template] = text
    cases = [f"  {json.dumps([t, x], ensure_ascii=True)}" for t, x in found.items()]
    values = json.dumps(VALUES, ensure_ascii=True)
    text = '{"values": ' + values + ',\n"cases": [\n' + ",\n".join(cases) + "\n]}\n"
    out.write_text(text)
    print(len(found), "templates")


if __name__ == "__main__":
    main()
