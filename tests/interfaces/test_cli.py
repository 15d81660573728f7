"""The command line: each command answers a person and a program, and says what went wrong in one line."""

import io
import json
import logging
import os
import re
import subprocess
import sys
import threading

import pytest

from perdure import Memory, __version__
from perdure.cli import main
from perdure.engine.recalled import marked

ESCAPE = "\x1b"


@pytest.fixture
def perdure(tmp_path, capsys, monkeypatch):
    """Run a command on a store of its own; answers exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("PERDURE_DEBUG", raising=False)
    monkeypatch.setenv("PERDURE_EMBEDDER", "none")  # words alone are enough, and quicker

    def run(*arguments, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        keeps = arguments and arguments[0] not in ("version", "demo", "eval")
        elsewhere = {"--help", "--path"}.intersection(arguments)
        stored = ["--path", str(tmp_path / "store.db")] if keeps and not elsewhere else []
        code = main([*arguments, *stored])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def answer(perdure):
    """Run a command that has to succeed, with --json."""

    def run(*arguments, **options):
        code, out, err = perdure(*arguments, "--json", **options)
        assert (code, err) == (0, ""), err
        return json.loads(out)

    return run


def remember(answer, text="Biscuit is a beagle", *options, user="maya"):
    return answer("add", text, "--user", user, *options)["results"][0]["id"]


# --- without a store -----------------------------------------------------------------------------------------


def test_without_arguments_it_explains_itself(perdure):
    code, out, err = perdure()
    assert (code, err) == (0, "")
    assert "perdure demo" in out
    assert all(len(line) <= 80 for line in out.splitlines())


COMMANDS = ["demo", "add", "search", "context", "profile", "list", "show", "history", "update", "delete", "erase", "import", "export",
            "backup", "restore", "stats", "doctor", "reindex", "reset", "version"]  # fmt: skip


@pytest.mark.parametrize("command", [*([name] for name in COMMANDS), ["eval", "retrieval"]])
def test_every_command_has_help_and_json(perdure, command):
    code, out, _ = perdure(*command, "--help")
    assert code == 0
    assert "--json" in out


def test_help_lists_every_command(perdure):
    _, out, _ = perdure("--help")
    assert set(COMMANDS) | {"eval"} <= set(re.findall(r"^│ (\w+) ", out, re.MULTILINE))


def test_help_loads_no_engine():
    program = "import sys; from perdure.cli import main; main(['--help']); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"numpy", "onnxruntime", "tokenizers", "sqlite3", "perdure.engine.memory"}


def test_version_is_the_packages_own(perdure, answer):
    assert answer("version")["version"] == __version__
    code, out, _ = perdure("version")
    assert code == 0
    assert __version__ in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_given_completion(shell):
    program = "import sys; from perdure.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"_PERDURE_COMPLETE": f"source_{shell}", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "perdure" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["forget"], "No such command 'forget'"),
        (["search"], "Missing argument"),
        (["search", "x", "--limit", "many"], "Invalid value for '--limit'"),
    ],
)
def test_a_wrong_call_is_one_line(perdure, arguments, message):
    code, out, err = perdure(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


# --- memories ------------------------------------------------------------------------------------------------


def test_what_is_added_is_found_listed_and_shown(answer):
    memory_id = remember(
        answer, "Biscuit is a beagle", "--category", "pets", "--metadata", '{"source": "chat"}'
    )
    (hit,) = answer("search", "which breed is Biscuit?", "-u", "maya")["results"]
    assert (hit["id"], hit["memory"], hit["categories"]) == (memory_id, "Biscuit is a beagle", ["pets"])
    assert [one["id"] for one in answer("list", "-u", "maya")["results"]] == [memory_id]
    assert answer("show", memory_id)["metadata"] == {"source": "chat"}
    assert answer("list", "-u", "tomas")["results"] == []


def test_a_context_is_text_for_a_prompt_and_nothing_else(perdure, answer):
    remember(answer, "I am allergic to cashews, " + "and to all that grows on the same trees " * 4)
    code, out, err = perdure("context", "which nuts am I allergic to?", "-u", "maya", "--budget", "300")
    assert (code, err) == (0, "")
    assert marked(out)
    assert out.splitlines()[2].startswith("- [")
    assert len(out.splitlines()) == 4
    told = answer(
        "context", "which nuts am I allergic to?", "-u", "maya", "--format", "messages", "--full-ids"
    )
    assert told["results"][0]["id"] in told["context"][0]["content"]
    code, out, _ = perdure("context", "which nuts am I allergic to?", "-u", "maya", "--format", "messages")
    assert json.loads(out)[0]["role"] == "system"


def test_where_nothing_is_remembered_a_context_is_empty(perdure):
    code, out, err = perdure("context", "which nuts am I allergic to?", "-u", "maya")
    assert (code, out) == (0, "")
    assert "Nothing" in err


def test_a_profile_shows_categories_with_their_sources(perdure, answer):
    remember(answer, "I am allergic to cashews", "-c", "health")
    remember(answer, "I live in Porto")
    assert list(answer("profile", "-u", "maya")["profile"]) == ["health", "other"]
    code, out, _ = perdure("profile", "-u", "maya", "-c", "health")
    assert code == 0
    assert "cashews" in out
    assert "Porto" not in out


def test_text_can_come_from_stdin(answer):
    answer("add", "-", "-u", "maya", stdin="I keep bees on the roof")
    assert answer("list", "-u", "maya")["results"][0]["memory"] == "I keep bees on the roof"


def test_a_change_is_in_the_history(answer):
    memory_id = remember(answer, "I live in Leeds")
    assert (
        answer("update", memory_id, "I live in Porto", "-c", "home", "--expires", "2031-01-01")["memory"]
        == "I live in Porto"
    )
    assert answer("update", memory_id, "--never-expires")["expiration_date"] is None
    events = answer("history", memory_id)
    assert [event["event"] for event in events] == ["ADD", "UPDATE", "UPDATE"]
    assert (events[1]["old_memory"], events[1]["new_memory"]) == ("I live in Leeds", "I live in Porto")


def test_one_memory_is_deleted_without_asking(answer, perdure):
    memory_id = remember(answer)
    answer("delete", memory_id)
    assert perdure("show", memory_id)[0] == 3
    assert answer("history", memory_id)[-1]["event"] == "DELETE"


@pytest.mark.parametrize("command", [["delete", "--all", "-u", "maya"], ["erase", "-u", "maya"], ["reset"]])
def test_what_destroys_is_confirmed(answer, perdure, command):
    remember(answer)
    remember(answer, "Brisket is a lurcher", user="tomas")
    code, out, err = perdure(*command)
    assert (code, out) == (2, "")
    assert "--yes" in err
    assert len(answer("list", "-u", "maya")["results"]) == 1
    answer(*command, "--yes")
    assert answer("list", "-u", "maya")["results"] == []
    assert len(answer("list", "-u", "tomas")["results"]) == (0 if command == ["reset"] else 1)


def test_erased_words_are_gone_from_the_history(answer):
    memory_id = remember(answer, "my locker code is 4711")
    assert answer("erase", memory_id, "--yes", "--reason", "asked to")["erased"] == 1
    assert "4711" not in json.dumps(answer("history", memory_id))


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["show", "nobody-has-this"], 3, "NotFound"),
        (["add", "hello there"], 2, "MissingScope"),
        (["search", "x", "--filters", "{"], 2, "InvalidInput"),
        (["search", "x", "--filters", "[]"], 2, "InvalidInput"),
        (["search", "x", "--threshold", "7"], 2, "InvalidInput"),
        (["delete"], 2, "InvalidInput"),
        (["delete", "x", "--all"], 2, "InvalidInput"),
        (["delete", "--all", "--yes"], 2, "InvalidInput"),
        (["erase", "x", "-u", "maya", "--yes"], 2, "InvalidInput"),
        (["update", "x", "y", "--expires", "2031-01-01", "--never-expires"], 2, "InvalidInput"),
        (["forget"], 2, "InvalidInput"),
        (["import", "/nowhere/at/all", "-u", "maya"], 2, "InvalidInput"),
        (["stats", "--config", "/nowhere/at/all"], 4, "ConfigurationError"),
    ],
)
def test_errors_are_told_in_text_and_in_json(perdure, arguments, code, kind):
    told, out, err = perdure(*arguments)
    assert (told, out) == (code, "")
    assert err.startswith("error: ")
    told, out, err = perdure(*arguments, "--json")
    assert (told, out) == (code, "")
    assert json.loads(err)["error"]["type"] == kind


def test_a_file_that_is_no_store_is_left_alone(perdure, tmp_path):
    (tmp_path / "store.db").write_text("a shopping list, not a database\n" * 100)
    code, _, err = perdure("stats")
    assert (code, err.count("\n")) == (7, 1)
    assert (tmp_path / "store.db").read_text().startswith("a shopping list")


# --- what people see -----------------------------------------------------------------------------------------


def test_output_without_a_terminal_has_no_colours_and_fits(answer, perdure):
    memory_id = remember(
        answer, "We see Dr. Okafor next Thursday about the cracked molar and the bill for it " * 2
    )
    for command in (
        ["list"],
        ["search", "molar"],
        ["show", memory_id],
        ["history", memory_id],
        ["stats"],
        ["doctor"],
    ):
        whose = ["-u", "maya"] if command[0] in ("list", "search") else []
        code, out, _ = perdure(*command, *whose)
        assert code == 0
        assert ESCAPE not in out
        assert all(len(line.rstrip()) <= 80 for line in out.splitlines())


def test_a_memory_can_neither_colour_nor_command_the_terminal(answer, perdure):
    remember(answer, f"beware {ESCAPE}[31mred{ESCAPE}[0m and [bold]markup[/bold] :smile:")
    _, out, _ = perdure("list", "-u", "maya")
    assert ESCAPE not in out
    assert "[bold]markup[/bold] :smile:" in out


def test_nothing_found_is_said(perdure):
    assert "Nothing" in perdure("list", "-u", "maya")[1]
    assert "Nothing" in perdure("search", "anything?", "-u", "maya")[1]


# --- files ---------------------------------------------------------------------------------------------------

CHAT = (
    "[2024-05-08 14:03] Anna: the heron is back at the pond\n[2024-05-08 14:05] Ben: I sold my old bicycle\n"
)


def test_a_transcript_is_imported_once(answer, perdure, tmp_path):
    chat = tmp_path / "chat.txt"
    chat.write_text(CHAT)
    tried = answer("import", str(chat), "--dry-run")
    assert (tried["format"], tried["messages"], tried["speakers"]) == ("text", 2, {"Anna": 1, "Ben": 1})
    assert "stored" not in tried
    assert answer("import", str(chat), "-u", "maya")["stored"] == 2
    again = answer("import", "-", "-u", "maya", stdin=CHAT)
    assert (again["stored"], again["known_before"]) == (0, 2)
    newest, oldest = answer("list", "-u", "maya")["results"]
    assert (oldest["actor_id"], oldest["created_at"]) == ("Anna", "2024-05-08T14:03:00+00:00")
    assert newest["memory"] == "I sold my old bicycle"
    assert "stored by an earlier import" in perdure("import", str(chat), "-u", "maya")[1]


def test_what_a_transcript_does_not_say_is_given(answer, perdure):
    text = "08/05/2024, 14:03 - Robby: beep beep from the workshop"
    code, _, err = perdure("import", "-", "-u", "maya", stdin=text)
    assert code == 2
    assert "--day-first" in err
    answer(
        "import",
        "-",
        "-u",
        "maya",
        "--day-first",
        "--timezone",
        "Europe/Lisbon",
        "--assistant",
        "Robby",
        stdin=text,
    )
    (one,) = answer("list", "-u", "maya", "--all")["results"]
    assert (one["role"], one["created_at"]) == ("assistant", "2024-05-08T13:03:00+00:00")


def test_an_import_needs_to_know_whose_it_is(perdure):
    code, _, err = perdure("import", "-", stdin=CHAT)
    assert code == 2
    assert "--user" in err


def test_an_export_is_imported_without_loss(answer, perdure, tmp_path):
    memory_id = remember(answer, "I live in Leeds")
    answer("update", memory_id, "I live in Porto")
    remember(answer, "Brisket is a lurcher", user="tomas")
    file = tmp_path / "export.jsonl"
    written = answer("export", str(file))
    assert written["records"] == len(file.read_text().splitlines())
    assert perdure("export", "-u", "maya")[1].count("Brisket") == 0

    def kept():
        events = answer("history", memory_id)
        return answer("list"), [(e["event"], e["new_memory"], e["created_at"]) for e in events]

    before = kept()
    answer("reset", "--yes")
    assert answer("import", str(file))["imported"]["memories"] == 3
    assert kept() == before


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85"])
def test_a_text_with_ends_of_lines_of_unicode_survives_an_export(answer, tmp_path, end):
    memory_id = remember(answer, f"first{end}second")
    file = tmp_path / "export.jsonl"
    assert answer("export", str(file))["records"] == 4
    answer("reset", "--yes")
    assert answer("import", str(file))["imported"]["memories"] == 1
    assert answer("show", memory_id)["memory"] == f"first{end}second"


def test_an_export_replaces_a_file_only_if_it_is_told_to(answer, perdure, tmp_path):
    remember(answer)
    file = tmp_path / "notes.txt"
    file.write_text("a shopping list")
    code, _, err = perdure("export", str(file))
    assert (code, file.read_text()) == (2, "a shopping list")
    assert "--force" in err
    assert answer("export", str(file), "--force")["records"] == 4
    assert file.read_text().count("\n") == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "store.db"]


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_an_export_never_replaces_the_store_itself(answer, perdure, tmp_path, suffix):
    remember(answer)
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "elsewhere"):
        code, _, err = perdure("export", str(folder / f"store.db{suffix}"), "--force")
        assert code == 2
        assert "the store itself" in err
    assert len(answer("list")["results"]) == 1


def test_an_export_to_a_pipe_is_written_into_it(answer, tmp_path):
    remember(answer)
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert answer("export", str(pipe))["records"] == 4
    reader.join()
    assert read[0].count("\n") == 4
    assert pipe.is_fifo()


def test_an_export_beside_a_store_with_a_like_name_leaves_it_alone(answer, perdure, tmp_path):
    store = tmp_path / "x.part"
    answer("add", "Biscuit is a beagle", "-u", "maya", "--path", str(store))
    assert perdure("export", str(tmp_path / "x"), "--path", str(store))[0] == 0
    assert len(answer("list", "--path", str(store))["results"]) == 1


def test_a_backup_is_restored_and_the_store_set_aside(answer, perdure, tmp_path):
    remember(answer, "I live in Leeds")
    file = tmp_path / "backup.db"
    assert answer("backup", str(file))["bytes"] > 0
    assert perdure("backup", str(file))[0] == 2
    remember(answer, "I also own a small boat")
    assert perdure("restore", str(file))[0] == 2
    restored = answer("restore", str(file), "--yes")
    assert [one["memory"] for one in answer("list")["results"]] == ["I live in Leeds"]
    aside = answer("list", "--path", restored["set_aside"])
    assert len(aside["results"]) == 2


def test_nothing_is_restored_under_a_memory_in_use(answer, perdure, tmp_path):
    remember(answer)
    answer("backup", str(tmp_path / "backup.db"))
    with Memory({"path": tmp_path / "store.db", "embedder": None}) as memory:
        code, _, err = perdure("restore", str(tmp_path / "backup.db"), "--yes")
        assert (code, "in use" in err) == (5, True)
        memory.add("I also own a small boat", user_id="maya")
    assert len(answer("list")["results"]) == 2
    assert perdure("restore", str(tmp_path / "store.db"), "--yes")[0] == 2
    assert len(answer("list")["results"]) == 2


def test_what_is_no_backup_is_not_restored(answer, perdure, tmp_path):
    remember(answer)
    (tmp_path / "notes.txt").write_text("not a database at all\n" * 100)
    for file, code in (("notes.txt", 7), ("nowhere.db", 2)):
        assert perdure("restore", str(tmp_path / file), "--yes")[0] == code
        assert len(answer("list")["results"]) == 1
    assert not list(tmp_path.glob("*before*"))


def test_a_score_is_explained(answer, perdure):
    remember(answer)
    _, out, _ = perdure("search", "beagle", "-u", "maya", "--explain")
    assert "words" in out
    assert "{" not in out
    assert "score" not in out  # it stands before the text


def test_a_store_is_sound_and_can_be_reindexed(answer):
    remember(answer)
    assert answer("doctor")["problems"] == []
    assert answer("stats")["memories"] == 1
    assert set(answer("reindex")) == {"reindexed", "model"}


def test_a_reindex_that_finds_nothing_to_do_says_so(answer, perdure):
    remember(answer)
    assert "already" in perdure("reindex")[1]
    assert len(answer("search", "beagle", "-u", "maya")["results"]) == 1


# --- the demonstration and the measurements ------------------------------------------------------------------


def test_the_demonstration_finds_what_was_said(answer, perdure, tmp_path, monkeypatch):
    monkeypatch.delenv("PERDURE_EMBEDDER")
    played = answer("demo", "--keep", str(tmp_path / "demo.db"))
    assert played["told"] == {
        "users": 2,
        "sessions": 11,
        "turns": 94,
        "from": "2025-03-02T18:20:00+00:00",
        "to": "2025-04-13T17:32:00+00:00",
    }
    wrong = [one["question"] for one in played["answers"] if not one["right"]]
    assert wrong == []
    assert all(one["answer"]["user_id"] == one["user"] for one in played["answers"] if one["answer"])
    assert "94" not in perdure("demo", "--keep", str(tmp_path / "demo.db"))[1]


def test_the_demonstration_fits_80_columns(perdure, monkeypatch):
    monkeypatch.delenv("PERDURE_EMBEDDER")
    code, out, _ = perdure("demo")
    assert code == 0
    assert ESCAPE not in out
    assert all(len(line.rstrip()) <= 80 for line in out.splitlines())
    assert "Nothing was ever said about that." in out


def test_retrieval_is_measured(answer, tmp_path):
    turns = [{"turn_id": "1", "speaker": "Ida", "text": "The heron came back to the pond."},
             {"turn_id": "2", "speaker": "Ida", "text": "I sold my old bicycle to Jonas."}]  # fmt: skip
    told = tmp_path / "conversations.jsonl"
    told.write_text(
        json.dumps({"conversation_id": "c", "sessions": [{"session_id": "s", "date": None, "turns": turns}]})
    )
    asked = tmp_path / "questions.jsonl"
    question = {"conversation_id": "c", "question_id": "q", "question": "Who bought my bicycle?", "category": "one",
                "evidence_turn_ids": ["2"], "evidence_session_ids": ["s"]}  # fmt: skip
    asked.write_text(json.dumps(question))
    measured = answer("eval", "retrieval", "--conversations", str(told), "--questions", str(asked))
    assert measured["turn"]["all"]["MRR"] == 1.0
    assert measured["session"]["one"]["all@10"] == 1.0


def test_a_measurement_needs_its_files(perdure):
    code, _, err = perdure("eval", "retrieval")
    assert code == 2
    assert "--conversations" in err


@pytest.mark.parametrize(
    "options", [["--conversations", "FILE", "--questions", "FILE"], ["--format", "longmemeval", "FILE"]]
)
def test_a_data_set_that_is_not_utf8_is_refused_in_words(perdure, tmp_path, options):
    file = tmp_path / "latin.jsonl"
    file.write_bytes(b'{"question": "caf\xe9"}')
    code, _, err = perdure("eval", "retrieval", *(str(file) if o == "FILE" else o for o in options))
    assert (code, "is not UTF-8" in err) == (2, True)


# --- what files and options can hold -------------------------------------------------------------------------


DEEP = "[" * 100_000
LONG = "1" * 5_000


@pytest.mark.parametrize(
    "text", [DEEP, f'{{"a": {DEEP}', f"[{LONG}]", f'{{"perdure": 1}}\n{DEEP}', f'{{"perdure": 1}}\n{LONG}']
)
@pytest.mark.parametrize("form", ["auto", "messages", "records"])
def test_json_that_cannot_be_read_is_refused_in_words(perdure, form, text):
    whose = [] if "perdure" in text or form == "records" else ["-u", "maya"]
    code, out, err = perdure("import", "-", "--format", form, *whose, "--dry-run", "--json", stdin=text)
    assert (code, out) == (2, "")
    assert json.loads(err)["error"]["type"] == "InvalidInput"


@pytest.mark.parametrize("depth", [150, *range(900, 1_000, 7)])
def test_an_attachment_nested_too_deeply_is_refused_in_words(perdure, depth):
    part = '{"type": "image", "a": ' + "[" * depth + "]" * depth + "}"
    text = f'[{{"role": "user", "content": [{{"type": "text", "text": "look"}}, {part}]}}]'
    code, _, err = perdure("import", "-", "-u", "maya", "--json", stdin=text)
    assert (code, json.loads(err)["error"]["type"]) == (2, "InvalidInput")


@pytest.mark.parametrize("value", [DEEP, f'{{"a": {LONG}}}'])
def test_an_option_that_cannot_be_read_is_refused_in_words(perdure, value):
    code, _, err = perdure("add", "I like tea", "-u", "maya", "--metadata", value, "--json")
    assert (code, json.loads(err)["error"]["type"]) == (2, "InvalidInput")


@pytest.mark.parametrize("command", [["import", "-u", "maya"], ["export"]])
@pytest.mark.parametrize("place", ["", "none/x.jsonl"])
def test_a_file_that_cannot_be_used_is_the_callers_to_mend(perdure, tmp_path, command, place):
    code, _, err = perdure(*command, str(tmp_path / place), "--json")
    told = json.loads(err)["error"]
    assert (code, told["type"]) == (2, "InvalidInput")
    assert str(tmp_path) in told["message"]
    assert ".part" not in told["message"]


@pytest.mark.parametrize("command", [["import", "-u", "maya"], ["export"], ["backup"], ["restore", "--yes"]])
def test_a_name_that_no_file_can_have_is_the_callers_to_mend(answer, perdure, tmp_path, command):
    remember(answer)
    code, _, err = perdure(*command, str(tmp_path / ("x" * 300)), "--json")
    assert (code, json.loads(err)["error"]["type"]) == (2, "InvalidInput")


def test_no_results_can_be_asked_for(answer):
    remember(answer)
    assert answer("search", "beagle", "-u", "maya", "--limit", "0")["results"] == []
    assert answer("list", "-u", "maya", "--limit", "0")["results"] == []


# --- streams -------------------------------------------------------------------------------------------------

MAIN = "import sys; from perdure.cli import main; sys.exit(main())"


@pytest.fixture
def program(tmp_path):
    """Run a command in a process of its own whose streams have some encoding; answers its stdout, as bytes."""

    def run(encoding, *arguments, stdin=b"", **options):
        environment = {
            **os.environ,
            "PYTHONIOENCODING": encoding,
            "PERDURE_EMBEDDER": "none",
            "COLUMNS": "80",
        }
        done = subprocess.run(
            [sys.executable, "-c", MAIN, *arguments, "--path", str(tmp_path / "store.db")],
            input=stdin,
            capture_output=True,
            env=environment,
            check=False,
            **options,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout

    return run


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_stream_that_lacks_letters_refuses_no_answer(program, encoding):
    text = "My favourite Café is the one called ☃ 我的狗"
    assert b"Caf" in program(encoding, "add", text, "-u", "maya")
    assert b"Caf" in program(encoding, "list", "-u", "maya")
    found = json.loads(program(encoding, "list", "-u", "maya", "--json").decode(encoding))
    assert found["results"][0]["memory"] == text
    exported = program(encoding, "export")
    assert text in exported.decode()
    program("utf-8", "reset", "--yes")
    program(encoding, "import", "-", stdin=exported)
    assert text in program("utf-8", "list", "-u", "maya").decode()


def test_without_streams_a_command_still_does_its_work(tmp_path, answer):
    command = [sys.executable, "-c", MAIN, "add", "Biscuit is a beagle", "-u", "maya", "--json"]
    shell = 'exec "$@" <&- >&- 2>&-'
    done = subprocess.run(
        ["/bin/sh", "-c", shell, "sh", *command, "--path", str(tmp_path / "store.db")], check=False
    )
    assert done.returncode == 0
    assert len(answer("list")["results"]) == 1


# --- graph ---------------------------------------------------------------------------------------------------


@pytest.fixture
def talked(answer):
    remember(answer, "My sister Ann lives in Porto.")
    remember(answer, "Ann Smith and I went to the market with Bob.")
    remember(answer, "Bob said that he would visit Ann in Porto.")


@pytest.mark.usefixtures("talked")
def test_a_graph_is_shown_to_people_and_programs(perdure, answer):
    code, out, err = perdure("graph", "-u", "maya")
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == ["Ann Smith  person, 3, also Ann", "  mentioned with Bob"]
    shown = answer("graph", "porto", "-u", "maya", "--depth", "0")
    assert [(e["name"], e["kind"], e["count"]) for e in shown["entities"]] == [("Porto", "place", 2)]
    apart = answer("graph", "-u", "maya", "--apart", "Ann=Ann Smith")
    assert {"Ann", "Ann Smith"} < {entity["name"] for entity in apart["entities"]}
    assert "Nobody" in perdure("graph", "zed", "-u", "maya")[1]


@pytest.mark.usefixtures("talked")
def test_a_graph_is_drawn_and_no_name_leaves_its_quotes(perdure, answer):
    code, out, _ = perdure("graph", "-u", "maya", "--dot")
    assert code == 0
    assert out.startswith("digraph memory {\n")
    assert '  "Ann Smith" -> "Bob" [style=dotted, arrowhead=none];\n' in out
    answer("add", "ok", "-u", "noor", "--name", f'a"];{ESCAPE}[31m\\')
    drawn = perdure("graph", "-u", "noor", "--dot")[1]
    assert drawn.splitlines()[1].startswith('  "a\\"];\ufffd[31m\\\\" [')


@pytest.mark.parametrize(
    "arguments",
    [["--dot", "--json"], ["--apart", "Ann"], ["--apart", "=Ann"], ["--depth", "11"], ["--depth", "few"]],
)
def test_a_graph_that_cannot_be_meant_is_refused(perdure, arguments):
    code, _, err = perdure("graph", "-u", "maya", *arguments)
    assert code == 2
    assert err


def test_a_relation_is_shown_with_the_day_on_which_it_ended():
    from perdure.cli import graph

    entities = [{"name": name, "kind": "thing", "count": 1, "aliases": []} for name in ("Maya", "Porto")]
    edge = {
        "source": "Maya",
        "relationship": "lives in",
        "destination": "Porto",
        "stated": True,
        "memory_ids": [],
    }
    shown = {"entities": entities, "relations": [{**edge, "valid_to": "2025-05-10T00:00:00+00:00"}]}
    lines = [row.plain for row in graph.view(shown).renderables]
    assert lines == ["Maya  thing, 1", "  lives in Porto until 2025-05-10", "Porto  thing, 1"]
    assert '"Maya" -> "Porto" [label="lives in"]' in graph.drawing(shown)
    weak = [{**edge, "stated": False, "valid_to": None} for _ in range(graph.WEAK_SHOWN + 2)]
    assert [row.plain for row in graph.view({**shown, "relations": weak}).renderables][-2] == "  … 2 more"


def test_doctor_shows_what_it_would_clean_and_retires_it_when_it_may(answer, perdure):
    memory_id = remember(answer, "The ticket is in the car", "--expires", "2025-01-31")
    remember(answer, "Biscuit is a beagle")
    code, out, _ = perdure("doctor")
    assert code == 0
    assert "50 % of 2 memories" in out
    code, out, err = perdure("doctor", "--clean")
    assert code == 2
    assert "The ticket is in the car" in out
    assert "--yes" in err
    code, out, _ = perdure("doctor", "--clean", "--yes")
    assert code == 0
    assert "1 memory retired" in out
    assert answer("history", memory_id)[-1]["event"] == "EXPIRE"
    assert answer("doctor", "--clean", "--yes")["found"] == []


def test_categories_are_counted(answer, perdure):
    remember(answer, "I am allergic to cashews", "-c", "health")
    assert answer("categories", "--user", "maya") == {"health": 1}
    assert "health" in perdure("categories")[1]


def test_a_context_without_room_says_so(perdure, answer):
    remember(answer)
    for command in (["context", "Who is Biscuit?"], ["profile"]):
        code, out, err = perdure(*command, "-u", "maya", "--budget", "5")
        assert (code, out) == (0, "")
        assert "no room" in err
        assert "--budget" in err


@pytest.mark.parametrize(
    "command", [["worker", "--once"], ["worker"], ["pending"], ["event", "x"], ["retry"]]
)
def test_what_adds_have_left_makes_no_store(perdure, tmp_path, command):
    code, out, err = perdure(*command, "--path", str(tmp_path / "nothing.db"))
    assert (code, out) == (2, "")
    assert "there is no store at" in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


def test_the_package_itself_is_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "perdure", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == __version__


def test_a_driver_says_nothing_beside_what_the_command_says(perdure, monkeypatch, caplog):
    logging.getLogger("neo4j").setLevel(logging.NOTSET)
    monkeypatch.setenv("PERDURE_GRAPH", "neo4j")
    monkeypatch.setenv("PERDURE_GRAPH__URL", "neo4j://127.0.0.1:1")
    _, out, _ = perdure("add", "Biscuit is a beagle", "--user", "maya")
    assert "graph in Neo4j at 127.0.0.1:1" in out
    assert {record.name for record in caplog.records} <= {"perdure"}
