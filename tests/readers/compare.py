"""Compares what readers read with what was written: compare.py FILES ANSWERS

Each ANSWERS/READER.FORMAT.jsonl holds a reader's answers. Prints a line per reader and
the first differences; fails when there are any.
"""
import json
import os
import sys

SHOWN = 5


def text(hexed):
    return repr(bytes.fromhex(hexed).decode())[:200]


def mistakes(wanted, inexact, answer):
    """What is wrong with one file, value by value; `inexact` may differ."""
    if "error" in answer:
        yield f"fails: {answer['error']}"
        return
    found = answer["values"]
    for name in found.keys() - wanted.keys():
        yield f"made up {text(name)}: {text(found[name])}"
    for name, value in wanted.items():
        if name not in inexact and found.get(name) != value:
            was = text(found[name]) if name in found else "nothing"
            yield f"{text(name)}: {was}, not {text(value)}"


def compare(reader, answers, expected):
    passed = failed = allowed = really = 0
    for wanted in expected:
        answer = answers.get(wanted["file"], {"error": "no answer"})
        inexact = {name for name, readers in wanted["inexact"].items() if reader in readers}
        wrong = list(mistakes(wanted["values"], inexact, answer))
        for mistake in wrong[: max(0, SHOWN - failed)]:
            print(f"  {reader}: {wanted['file']}: {mistake}")
        failed += len(wrong)
        passed += len(wanted["values"]) - len(inexact) if not wrong else 0
        allowed += len(inexact)
        really += sum(answer.get("values", {}).get(name) != wanted["values"][name] for name in inexact)
    note = f" ({really} of {allowed} values that the table calls inexact are)" if allowed else ""
    print(f"{reader}: {passed} passed, {failed} failed{note}")
    return passed, failed


def main():
    folder, answers_folder = sys.argv[1:]
    with open(os.path.join(folder, "expected.jsonl"), encoding="utf-8") as file:
        expected = [json.loads(line) for line in file]
    passed = failed = 0
    for name in sorted(os.listdir(answers_folder)):
        reader, format = name.removesuffix(".jsonl").rsplit(".", 1)
        with open(os.path.join(answers_folder, name), encoding="utf-8") as file:
            answers = {answer["file"]: answer for answer in map(json.loads, file)}
        files = [wanted for wanted in expected if wanted["file"].endswith("." + format)]
        here = compare(reader, answers, files)
        passed += here[0]
        failed += here[1]
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


main()
