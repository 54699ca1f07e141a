"""Go's templates, with values as Go prints them."""

import pytest

from sampan.cli import listing, template

DATA = {
    "Name": "/web",
    "State": {"Running": True, "Pid": 7, "Health": None},
    "Labels": {"b": "2", "a": "1"},
    "Mounts": [{"Name": "v1", "RW": True}, {"Name": "v2", "RW": False}],
    "Cmd": ["sleep", "1000"],
    "Size": 1234567,
    "Env": None,
    "Half": 0.5,
}

CASES = [
    ("plain", "plain"),
    ("{{.Name}}", "/web"),
    ("{{ .State.Running }}", "true"),
    ("{{.State}}", "map[Health:<nil> Pid:7 Running:true]"),
    ("{{.Cmd}} {{.Env}} {{.Labels}}", "[sleep 1000] [] map[a:1 b:2]"),
    ("{{json .Cmd}} {{json .Env}}", '["sleep","1000"] null'),
    ("{{.Cmd | json}}", '["sleep","1000"]'),
    ('{{join .Cmd ", "}}', "sleep, 1000"),
    ('{{index .Labels "a"}}{{index .Labels "none"}}', "1"),
    ("{{index .Cmd 1}} {{(index .Mounts 0).Name}}", "1000 v1"),
    ("{{len .Cmd}} {{len .Name}} {{len .Env}}", "2 4 0"),
    ('{{upper .Name}}{{lower "ABC"}}{{title "a web"}}', "/WEBabcA Web"),
    ('{{truncate .Name 2}}|{{pad "x" 1 2}}|', "/w| x  |"),
    ('{{split "a:b" ":"}}', "[a b]"),
    (
        '{{printf "%s %d %5.2f %q %v %03d%%" .Name 3 .Half "a" true 7}}',
        '/web 3  0.50 "a" true 007%',
    ),
    ('{{print 1 2 "a" 3}}', "1 2a3"),
    ('{{println "a" 1}}', "a 1\n"),
    ("{{range .Mounts}}{{.Name}},{{end}}", "v1,v2,"),
    ("{{range $i, $m := .Mounts}}{{$i}}={{$m.Name}} {{end}}", "0=v1 1=v2 "),
    ("{{range $k, $v := .Labels}}{{$k}}{{$v}}{{end}}", "a1b2"),
    ("{{range .Env}}x{{else}}none{{end}}", "none"),
    ("{{range .Mounts}}{{if .RW}}{{continue}}{{end}}{{.Name}}{{break}}{{end}}", "v2"),
    ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
    ("{{if .State.Health}}h{{else if .Nope}}n{{else}}neither{{end}}", "neither"),
    ("{{with .State}}{{.Pid}}{{end}}{{with .Env}}x{{else}}no{{end}}", "7no"),
    ("{{with $s := .State}}{{$s.Pid}}{{end}}", "7"),
    ("{{$n := .Name}}{{range .Cmd}}{{$n}}{{end}}", "/web/web"),
    ("{{$x := 1}}{{range .Cmd}}{{$x = .}}{{end}}{{$x}}", "1000"),
    ("{{range .Cmd}}{{$.Name}}{{end}}", "/web/web"),
    (
        '{{eq .Name "/web"}} {{ne 1 2}} {{lt 1 2}} {{ge 2 2}} {{eq 1 2 1}}',
        "true true true true true",
    ),
    ('{{and .Name 0}} {{or "" "b"}} {{not .Env}}', "0 b true"),
    ('{{or (and .State.Health .State.Health.Status) "none"}}', "none"),
    ("a {{- .Name -}}  \n b", "a/webb"),
    ("{{/* note */}}x{{- /* y */ -}} z", "xz"),
    ('{{"}}"}} {{`raw\\n`}} {{"tab\\t."}}', "}} raw\\n tab\t."),
    ("{{.Size}} {{.Half}} {{1e3}} {{0x10}}", "1234567 0.5 1000 16"),
    ('{{slice .Name 1 3}} {{html "<a>"}}', "we &lt;a&gt;"),
    ("{{.Nope | json}}", "null"),
]


@pytest.mark.parametrize(("text", "shown"), CASES)
def test_a_template(text, shown):
    assert template.render(text, DATA) == shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{.Nope}}", 'no entry for key "Nope"'),
        ("{{.Name.First}}", "can't evaluate field First in type string"),
        ("{{nosuch .Name}}", 'function "nosuch" not defined'),
        ("{{.Name", "unclosed action"),
        ('{{"a}}', "unterminated quoted string"),
        ("{{if .Name}}", "unexpected EOF"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{}}", "missing value"),
        ("{{$x}}", 'undefined variable "$x"'),
        ("{{index .Cmd 9}}", "index out of range: 9"),
        ("{{(.Name}}", "unclosed left paren"),
        pytest.param("{{" + "(" * 3000 + ".Name" + ")" * 3000 + "}}", "too deeply", id="deep"),
        pytest.param("{{if .Name}}" * 3000 + "{{end}}" * 3000, "too deeply", id="deep blocks"),
        ("{{join .Size 1}}", "error calling join"),
        ('{{template "x"}}', "not supported"),
        ("{{range .Size}}{{end}}{{range .Name}}{{end}}", "range can't iterate"),
    ],
)
def test_what_is_wrong_with_a_template(text, says):
    with pytest.raises(template.TemplateError) as caught:
        template.render(text, DATA)
    assert says in str(caught.value)


FIELDS = {
    "ID": ("CONTAINER ID", lambda c: c["Id"]),
    "Names": ("NAMES", lambda c: c["Name"]),
    "Label": ("", lambda c: lambda name: c["Labels"].get(name, "")),
}
ROWS = [
    {"Id": "abc", "Name": "a-name-longer-than-ten", "Labels": {"x": "<1>"}},
    {"Id": "d", "Name": "b", "Labels": {}},
]


def test_a_table_has_columns_as_wide_as_they_must_be():
    assert listing.text(ROWS, FIELDS, ("Names", "ID")) == (
        "NAMES                    CONTAINER ID\n"
        "a-name-longer-than-ten   abc\n"
        "b                        d\n"
    )


def test_a_table_by_a_template_has_the_headers_of_its_fields():
    shown = listing.text(ROWS, FIELDS, ("ID",), 'table {{.ID}}\\t{{.Label "x"}}')
    assert shown == "CONTAINER ID   X\nabc            <1>\nd              \n"


def test_json_rows():
    (first, _) = listing.text(ROWS, FIELDS, ("ID",), "json").splitlines()
    assert first == '{"ID":"abc","Names":"a-name-longer-than-ten"}'
    assert listing.text(ROWS, FIELDS, ("ID",), "{{.ID}}\\t{{.Names}}").startswith("abc\ta-name")


def test_a_bad_format_is_told_in_a_sentence():
    with pytest.raises(listing.BadFormat, match="error: template: :1: unclosed action"):
        listing.text(ROWS, FIELDS, ("ID",), "{{.ID")
