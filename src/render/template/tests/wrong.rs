//! Wrong templates and what is said of them.

/// Each wrong template over the secrets of the tests, with the whole text of its error.
pub(super) const WRONG: [(&str, &str); 66] = [
    // names
    (
        "{{ DB_PASWORD }}",
        "line 1: no secret \"DB_PASWORD\" is selected: did you mean \"DB_PASSWORD\"?",
    ),
    (
        "a\n\n{{ TOKEN }}",
        "line 3: no secret \"TOKEN\" is selected: select it, or give it a default: |default(\"\")",
    ),
    (
        "{{ secrets['zebra'] }}",
        "line 1: no secret \"zebra\" is selected: select it, or give it a default: |default(\"\")",
    ),
    (
        "{{ secrets.zebra|upper }}",
        "line 1: no secret \"zebra\" is selected: select it, or give it a default: |default(\"\")",
    ),
    (
        "{{ TOKEN ~ (ZEBRA|default('')) }}",
        "line 1: no secret \"TOKEN\" is selected: select it, or give it a default: |default(\"\")",
    ),
    (
        "{% if ZEBRA is defined %}{% endif %}{{ secrets[DB_PASSWORD] }}",
        "line 1: it uses something that is not there: check the names in this line",
    ),
    (
        "{{ DB_PASSWORD.user }}",
        "line 1: it uses something that is not there: check the names in this line",
    ),
    (
        "{{ DB_HOST|b64encod }}",
        "line 1: there is no filter \"b64encod\": did you mean \"b64encode\"?",
    ),
    (
        "\n{% filter tojson %}{% endfilter %}",
        "line 2: there is no filter \"tojson\": did you mean \"json\"?",
    ),
    (
        "{{ DB_HOST|xxxxxxxxx }}",
        "line 1: there is no filter \"xxxxxxxxx\": there are b64decode, b64encode, default, first, indent, items, join, json, last, length, lines, lower, quote, replace, shellquote, sort, trim, upper",
    ),
    (
        "{{ DB_HOST is none }}",
        "line 1: there is no test \"none\": there are defined, endingwith, startingwith, undefined",
    ),
    (
        "{{ range(1000000000) }}",
        "line 1: there is no function \"range\": use a filter",
    ),
    (
        "{% include 'x' %}",
        "line 1: there is no statement \"include\": there are if, elif, else, endif, for, endfor, set, endset, with, endwith, filter",
    ),
    (
        "{% endfro %}",
        "line 1: there is no statement \"endfro\": did you mean \"endfor\"?",
    ),
    // values of the wrong kind
    (
        "{{ BIN }}",
        "line 1: secret \"BIN\" is not UTF-8 text: write it with the filter b64encode, or mount it as a file of its own",
    ),
    (
        "\n{{ BIN|upper }}",
        "line 2: secret \"BIN\" is not UTF-8 text: write it with the filter b64encode, or mount it as a file of its own",
    ),
    (
        "\n{{ 'a' ~ BIN }}",
        "line 2: secret \"BIN\" is not UTF-8 text: write it with the filter b64encode, or mount it as a file of its own",
    ),
    (
        "{% if 'c4n4ry' in BIN %}{% endif %}",
        "line 1: secret \"BIN\" is not UTF-8 text: write it with the filter b64encode, or mount it as a file of its own",
    ),
    (
        "{% for c in BIN %}{% endfor %}",
        "line 1: secret \"BIN\" is not UTF-8 text: write it with the filter b64encode, or mount it as a file of its own",
    ),
    (
        "{{ secrets|json }}",
        "line 1: secret \"BIN\" is not UTF-8 text: write it with the filter b64encode, or mount it as a file of its own",
    ),
    (
        "{{ secrets }}",
        "line 1: a list or a map cannot be printed: loop over it, or use the filter join or json",
    ),
    (
        "{{ secrets ~ '' }}",
        "a list or a map cannot be printed: loop over it, or use the filter join or json",
    ),
    (
        "{{ secrets|items }}",
        "line 1: a list or a map cannot be printed: loop over it, or use the filter join or json",
    ),
    (
        "{{ DB_PASSWORD|b64decode }}",
        "line 1: the filter b64decode needs base64 (standard alphabet, padded): check what is stored",
    ),
    (
        "{{ '/w=='|b64decode }}",
        "line 1: the filter b64decode makes bytes that are not UTF-8 text: mount them as a file of their own, with encoding: base64",
    ),
    (
        "{{ DB_PASSWORD|first }}",
        "line 1: the filter first needs a list, such as secrets|items or text|lines",
    ),
    (
        "{{ []|first }}",
        "line 1: the filter first has an empty list: check for that before",
    ),
    (
        "{{ []|last }}",
        "line 1: the filter last has an empty list: check for that before",
    ),
    (
        "{{ DB_PASSWORD|items }}",
        "line 1: the filter items is for the map of all secrets: secrets|items",
    ),
    (
        "{{ DB_PASSWORD|replace('', 'x') }}",
        "line 1: the filter replace needs the text to replace: it is empty",
    ),
    (
        "{{ DB_PASSWORD|indent(81) }}",
        "line 1: the filter indent indents by at most 80 columns: take fewer",
    ),
    (
        "{{ '\0'|shellquote }}",
        "line 1: the filter shellquote has a text with a NUL, which no shell can hold",
    ),
    (
        "{{ DB_PASSWORD|indent(DB_PASSWORD) }}",
        "line 1: an operator or a filter does not fit its values: check this expression",
    ),
    (
        "{{ DB_PASSWORD|upper(1, 2) }}",
        "line 1: an operator or a filter does not fit its values: check this expression",
    ),
    (
        "{{ -DB_PASSWORD }}",
        "line 1: an operator or a filter does not fit its values: check this expression",
    ),
    (
        "{{ DB_PASSWORD - 1 }}",
        "line 1: an operator or a filter does not fit its values: check this expression",
    ),
    (
        "{% for a, b in [DB_PASSWORD] %}{% endfor %}",
        "line 1: lists of other things than texts and numbers are not part of the template language: loop over secrets|items",
    ),
    (
        "{% for a, b in ['x'] %}{% endfor %}",
        "line 1: an operator or a filter does not fit its values: check this expression",
    ),
    (
        "{{ DB_HOST|indent(TOKEN) }}",
        "line 1: no secret \"TOKEN\" is selected: select it, or give it a default: |default(\"\")",
    ),
    (
        "{{ ['a']|join(TOKEN) }}",
        "line 1: no secret \"TOKEN\" is selected: select it, or give it a default: |default(\"\")",
    ),
    (
        "{{ ZEBRA|default(TOKEN) }}",
        "line 1: no secret \"TOKEN\" is selected: select it, or give it a default: |default(\"\")",
    ),
    (
        "{{ DB_HOST|default('', TOKEN) }}",
        "line 1: no secret \"TOKEN\" is selected: select it, or give it a default: |default(\"\")",
    ),
    (
        "{{ DB_HOST|default(ZEBRA) }}{{ TOKEN }}",
        "line 1: no secret \"TOKEN\" is selected: select it, or give it a default: |default(\"\")",
    ),
    (
        "{{ DB_HOST|replace('a', TOKEN) }}",
        "line 1: no secret \"TOKEN\" is selected: select it, or give it a default: |default(\"\")",
    ),
    (
        "{% for a in secrets %}{{ loop|json }}{% endfor %}",
        "line 1: an operator or a filter does not fit its values: check this expression",
    ),
    (
        "{{ DB_HOST|indent(1, true, 2) }}",
        "line 1: an operator or a filter does not fit its values: check this expression",
    ),
    (
        "{{ DB_HOST|indent(-1) }}",
        "line 1: an operator or a filter does not fit its values: check this expression",
    ),
    (
        "{{ DB_HOST|indent(width=2) }}",
        "line 1: an operator or a filter does not fit its values: check this expression",
    ),
    (
        "{{ DB_HOST|lines ~ '' }}",
        "a list or a map cannot be printed: loop over it, or use the filter join or json",
    ),
    (
        "{{ secrets|items|sort ~ '' }}",
        "a list or a map cannot be printed: loop over it, or use the filter join or json",
    ),
    (
        "{{ B }}",
        "line 1: no secret \"B\" is selected: select it, or give it a default: |default(\"\")",
    ),
    // what is left out
    (
        "{{ DB_PASSWORD + DB_HOST }}",
        "line 1: + * / // % and ** are not part of the template language: join texts with ~",
    ),
    (
        "{{ DB_PASSWORD[1:] }}",
        "line 1: subscripts of other things than \"secrets\" are not part of the template language: use the filter first or last",
    ),
    (
        "{{ secrets[1:] }}",
        "line 1: slices are not part of the template language: use a filter such as first, trim or replace",
    ),
    (
        "{{ {'a': 1} }}",
        "line 1: maps in braces are not part of the template language: there is the map \"secrets\"",
    ),
    (
        "{{ DB_PASSWORD.upper() }}",
        "line 1: methods are not part of the template language: use a filter: text|upper",
    ),
    (
        "{{ (DB_HOST, DB_PASSWORD) }}",
        "line 1: tuples are not part of the template language: name one value after the other",
    ),
    (
        "{% set secrets = DB_PASSWORD %}",
        "line 1: variables named \"secrets\", or like a word of the language, are not part of the template language: choose another name",
    ),
    (
        "{% for x in secrets recursive %}{% endfor %}",
        "line 1: recursive loops are not part of the template language: remove \"recursive\"",
    ),
    (
        "{{ DB_HOST == DB_PASSWORD }}",
        "line 1: comparisons of two computed values are not part of the template language: write one side out, as in KEY == \"on\"",
    ),
    (
        "{{ DB_HOST == 'a' ~ DB_PASSWORD }}",
        "line 1: comparisons of two computed values are not part of the template language: write one side out, as in KEY == \"on\"",
    ),
    (
        "{{ 'a' == DB_HOST < DB_PASSWORD }}",
        "line 1: comparisons of two computed values are not part of the template language: write one side out, as in KEY == \"on\"",
    ),
    (
        "{% for a in secrets if a not in DB_HOST|lines %}{% endfor %}",
        "line 1: comparisons of two computed values are not part of the template language: write one side out, as in KEY == \"on\"",
    ),
    // syntax
    (
        "a\n{{ DB_HOST",
        "line 2: unexpected end of input, expected end of variable block: mend the template",
    ),
    (
        "{% if DB_HOST %}",
        "line 1: unexpected end of input, expected end of block: mend the template",
    ),
    (
        "{{ 'a }}",
        "line 1: unexpected end of string: mend the template",
    ),
];
