"""Reads files with Python's readers, and with the shells: read.py READER FILE...

Prints a line of JSON per file: its name and {name: value}, both in hex, or the error.
"""
import io
import json
import logging
import os
import subprocess
import sys
import tempfile


def pyyaml(path):
    import yaml

    with open(path, "rb") as file:
        return yaml.safe_load(file)


def ruamel(path):
    from ruamel.yaml import YAML

    with open(path, "rb") as file:
        return YAML(typ="safe", pure=True).load(file)


def python_dotenv(path):
    import dotenv

    logging.getLogger("dotenv").addHandler(logging.NullHandler())
    return dotenv.dotenv_values(path)


def tomllib(path):
    import tomllib as reader

    with open(path, "rb") as file:
        return reader.load(file)


def python_json(path):
    with open(path, "rb") as file:
        return json.load(file)


def shell(program):
    def read(path):
        script = '. "$1" && exec env -0'
        command = ["env", "-i", f"PATH={os.environ['PATH']}", program, "-c", script, program, os.path.abspath(path)]
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True)
        if run.returncode or run.stderr:
            raise ValueError(f"{run.returncode}: {run.stderr.decode()}")
        pairs = (pair.split(b"=", 1) for pair in run.stdout.split(b"\0") if pair)
        own = {b"PATH", b"PWD", b"OLDPWD", b"SHLVL", b"_"}
        return {name.decode(): value.decode() for name, value in pairs if name not in own}

    return read


READERS = {
    "PyYAML": pyyaml,
    "ruamel.yaml": ruamel,
    "python-dotenv": python_dotenv,
    "tomllib": tomllib,
    "json.load": python_json,
    "dash": shell("dash"),
    "bash": shell("bash"),
}


def text_hex(value):
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__}, not a string")
    return value.encode().hex()


def main():
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", write_through=False)
    read = READERS[sys.argv[1]]
    for path in sys.argv[2:]:
        answer = {"file": os.path.basename(path)}
        try:
            values = read(path) or {}
            answer["values"] = {text_hex(name): text_hex(value) for name, value in values.items()}
        except Exception as error:  # whatever a reader says is its answer
            answer["error"] = f"{type(error).__name__}: {error}"[:300]
        print(json.dumps(answer))


main()
