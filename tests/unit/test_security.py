"""docs/security.md, sentence by sentence: the tests that hold each of them, and those that no other file has.

`HELD` is the map. A sentence that is new or changed on the page fails here until it has a test.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HELD = {
    "The command line, the environment": ["test_a_plugin_that_is_given_is_used_from_where_it_is_given"],
    "Plugins given with": ["test_plugins_come_from_the_command_line_and_from_packages_alone"],
    "They are code and may": ["test_plugins_come_from_the_command_line_and_from_packages_alone"],
    "Jobs of a queue load": ["test_an_array_has_the_cells_of_one_run_and_a_job_of_a_fold_those_of_several"],
    "Submit only from your": ["test_what_is_written_for_a_job_is_names_and_numbers"],
    "A folder of results is data": ["test_no_command_imports_a_plugin_that_a_results_folder_names"],
    "No command imports a file": ["test_merge_does_not_import_it_either"],
    "If a run used a plugin": ["test_no_command_imports_a_plugin_that_a_results_folder_names"],
    "A lease is data": ["test_a_lease_that_is_none_is_no_lease", "test_a_lease_of_nested_brackets_is_no_lease"],
    "`bench cancel` sends a signal": [
        "test_cancel_signals_no_process_that_is_not_a_run",
        "test_cancel_signals_no_parent_of_a_process_that_is_not_a_run",
        "test_a_run_is_known_by_its_command_line",
    ],
    "A lease counts as one of this machine": [
        "test_a_process_of_another_container_with_the_name_of_this_machine_is_not_looked_for_here",
        "test_another_process_with_the_number_of_the_holder_is_not_taken_for_it",
    ],
    "An archive is data": ["test_no_wrong_value_anywhere_ends_in_a_traceback"],
    "Names, sizes and checksums are compared": [
        "test_a_manifest_that_does_not_fit_its_files_is_refused",
        "test_a_member_that_is_no_plain_file_of_the_manifest_is_refused",
        "test_any_archive_is_read_or_refused_and_writes_nothing_outside",
    ],
    "Every field has a type and bounds": ["test_a_value_that_cannot_be_is_refused_and_named"],
    "The folder of a model is data": ["test_a_damaged_folder_is_refused", "test_loading_runs_no_code_of_the_folder"],
    "`bench.load_model`, `bench predict`": [
        "test_a_damaged_folder_is_refused",
        "test_loading_runs_no_code_of_the_folder",
    ],
    "The code of your own network": ["test_loading_runs_no_code_of_the_folder"],
    "The folder of `bench model` holds": ["test_the_card_says_what_the_model_is"],
    "It is marked if the data": ["test_what_the_card_says"],
    "Names are text": ["test_latex_compiles_with_it", "test_a_figure_can_be_drawn_with_it"],
    "No CSV of a report": [
        "test_no_cell_of_a_csv_is_a_formula",
        "test_images_of_any_name_are_predicted_and_continued_and_no_name_is_a_formula",
    ],
    "Controls of terminals and marks": ["test_no_writer_passes_on_a_control_or_a_mark_of_direction"],
    "A name of a task is no path": ["test_a_folder_is_one_folder_below_the_results"],
    "Its folder lies directly": [
        "test_a_folder_is_one_folder_below_the_results",
        "test_no_two_names_share_a_folder",
        "test_two_files_of_one_name_do_not_share_results",
    ],
    "Files may be damaged": ["test_killed_and_damaged_the_run_ends_with_the_same_table"],
    "A cell has checksums": [
        "test_every_changed_byte_of_a_record_is_seen",
        "test_what_is_written_is_whole_and_read_back",
    ],
    "`bench status` compares sizes": [
        "test_a_size_is_seen_at_once_and_a_byte_on_request",
        "test_damage_is_seen_computed_again_and_stops_no_report",
    ],
    "Cached baselines have checksums": [
        "test_a_damaged_baseline_is_trained_again_and_damaged_scores_are_made_again",
        "test_a_sealed_file_is_read_only_whole_and_under_its_name",
    ],
    "Nothing, unless you hand it on": ["test_no_command_but_prepare_opens_a_connection"],
    "Only `bench prepare` opens": ["test_no_module_but_that_of_prepare_can_open_a_connection"],
    "`bench export` writes the fields": [
        "test_a_new_field_leaves_only_if_it_says_so",
        "test_an_export_names_no_image_and_no_patient_and_with_predictions_no_patient",
    ],
    "With `--min-cell`, counts": [
        "test_the_attack_succeeds_without_suppression_and_fails_with_it",
        "test_no_count_that_gives_the_small_one_away_is_in_any_output",
    ],
}


def sentences():
    """The sentences of the page from its first list to its last."""
    text = (ROOT / "docs/security.md").read_text()
    text = text[text.index("## What is trusted") : text.index("## How to report")]
    items = [" ".join(item.split()) for item in re.split(r"^- ", re.sub(r"^##.*$", "", text, flags=re.M), flags=re.M)]
    return [one for item in items for one in re.split(r"(?<=\.)(?:\*\*)? (?=[A-Z`])", item.replace("**", "")) if one]


def known():
    files = [file for file in (ROOT / "tests").rglob("test_*.py") if file.name != Path(__file__).name]
    found = "\n".join(file.read_text() for file in (*files, Path(__file__)))
    return set(re.findall(r"^def (test_\w+)", found, re.M))


def test_every_sentence_of_the_page_has_a_test():
    said = sentences()
    assert [one for one in said if not any(one.startswith(start) for start in HELD)] == []
    assert [start for start in HELD if not any(one.startswith(start) for one in said)] == []
    assert {name for names in HELD.values() for name in names} - known() == set()


def test_no_module_but_that_of_prepare_can_open_a_connection():
    connect = {"socket", "ssl", "http", "urllib", "ftplib", "smtplib", "requests", "httpx", "aiohttp"}
    opening = {}
    for file in (file for folder in ("bench", "methods", "datasets") for file in (ROOT / folder).rglob("*.py")):
        text = file.read_text()
        names = {
            name.partition(".")[0]
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        }
        if names & connect or re.search(r"download_url|load_state_dict_from_url", text):
            opening[str(file.relative_to(ROOT))] = sorted(names & connect)
    assert opening == {"bench/running/prepare.py": []}


def test_plugins_come_from_the_command_line_and_from_packages_alone(tmp_path):
    """Neither a file in the current folder nor one in the results is imported."""
    plugin = "from pathlib import Path\nPath({ran!r}).touch()\n".format(ran=str(tmp_path / "ran"))
    for name in ("plugin.py", "methods.py", "conftest.py", "bench_plugin.py", "results/method.py", "methods/mine.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(plugin)
    listed = [sys.executable, "-P", "-m", "bench.cli", "ls", "methods"]
    subprocess.run(listed, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    assert not (tmp_path / "ran").exists()
    done = subprocess.run(
        [*listed, "--plugin", "plugin.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1  # it defines no plugin
    assert (tmp_path / "ran").exists()
    site = tmp_path / "site"
    (site / "theirs-1.dist-info").mkdir(parents=True)
    (site / "theirs-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (site / "theirs-1.dist-info/entry_points.txt").write_text("[bench.methods]\ntheirs = theirs_module\n")
    (site / "theirs_module.py").write_text(plugin)
    (tmp_path / "ran").unlink()
    subprocess.run(listed, cwd=tmp_path, env={"PYTHONPATH": f"{ROOT}:{site}"}, capture_output=True, check=False)
    assert (tmp_path / "ran").exists()
