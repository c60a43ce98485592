"""Mistakes on the command line and in a task file: what a person reads, and the exit code."""

import pytest
from inline_snapshot import snapshot


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (
            ["run", "--task", "phantom-cxr-aeg"],
            2,
            snapshot(
                "bench: unknown task 'phantom-cxr-aeg' (or give the path of a .toml file): did you mean phantom-cxr-age or phantom-cxr-sex or phantom-cxr-age-faint? allowed: phantom-cxr-age, phantom-cxr-sex, phantom-cxr-findings, phantom-skin-tone, phantom-skin-sex, phantom-cxr-age-no-correlation, phantom-cxr-age-no-cue, phantom-cxr-age-faint, phantom-cxr-age-no-core, phantom-cxr-age-groups, phantom-skin-tone-groups, ham10000-sex, ham10000-age, ham10000-melanoma-sex, ham10000-melanoma-age, ham10000-melanoma-sex-tied, ham10000-diagnoses-sex, skin-tone, skin-gender, cxr-gender, cxr-age, skin-tone-groups, cxr-age-groups\n"
            ),
        ),
        (
            ["run", "--task", "tiny.toml", "--methods", "swfit"],
            2,
            snapshot(
                "bench: unknown method 'swfit': did you mean swift? allowed: afr, baseline, bmft, dfr, diff_gda, diff_prune, fair_prune, fullft_fdr, fullft_reg, fullft_rw, group_dro, group_thresholds, leace, llft, oxonfair, ssd, swift\n"
            ),
        ),
        (
            ["run", "--task", "tiny.toml", "--methods", "swift:epsilom=0.1"],
            2,
            snapshot(
                "bench: unknown parameter 'epsilom' of swift: did you mean epsilon or steps? allowed: importance, normalise, low, high, scope, epsilon, epochs, mask, rate, random, constant, mask_data, mask_every, apply, head_step1, steps, reinit, reinit_scope, gamma, reset_share, hard_head, extractor_step2, preset\n"
            ),
        ),
        (
            ["run", "--task", "tiny.toml", "--methods", "swift:epsilon=lots"],
            2,
            snapshot("bench: SWiFT.epsilon='lots': float expected\n"),
        ),
        (
            ["run", "--task", "tiny.toml", "--methods", "swift:epsilon=1.5"],
            2,
            snapshot("bench: SWiFT.epsilon=1.5: a number from 0 to 1 expected\n"),
        ),
        (
            ["run", "--task", "tiny.toml", "--methods", "swift:apply=updat"],
            2,
            snapshot("bench: unknown value 'updat' for SWiFT.apply: did you mean update? allowed: gradient, update\n"),
        ),
        (
            ["run", "--task", "tiny.toml", "--methods", ""],
            2,
            snapshot("bench: --methods is empty: give it a value, or leave it out (see `bench run --help`)\n"),
        ),
        (
            ["run", "--task", "tiny.toml", "--folds", "7"],
            2,
            snapshot("bench: fold 7: task tiny has the folds 0 to 1\n"),
        ),
        (
            ["run", "--task", "tiny.toml", "--backbone", "resnet5"],
            2,
            snapshot(
                "bench: unknown backbone 'resnet5': did you mean resnet50 or resnet18 or densenet121? allowed: densenet121, efficientnet_b3, resnet18, resnet50, small, timm, vector\n"
            ),
        ),
        (
            ["run", "--task", "tiny.toml", "--method", "all"],
            2,
            snapshot(
                "bench: unknown option '--method' of `bench run`: did you mean --methods? allowed: -h, --help, --task, --methods, --backbone, --folds, --seeds, --ablate, --results, --cache, --data, --plugin, --splits, --baseline, --force, --keep-models, --jobs, --gpus, --per-gpu, --on, --profile, --group-by, --dry-run, --paper, --twins, --preset\n"
            ),
        ),
        (
            ["rnu"],
            2,
            snapshot(
                "bench: unknown command 'rnu': did you mean run? allowed: run, tune, status, logs, retry, cancel, clean, model, predict, report, export, merge, score, metrics, prepare, doctor, phantom, ls, check, new\n"
            ),
        ),
        (
            ["ls", "method"],
            2,
            snapshot(
                "bench: unknown kind 'method': did you mean methods? allowed: methods, datasets, backbones, launchers, tasks, metrics, register\n"
            ),
        ),
        (
            ["check", "swfit"],
            2,
            snapshot(
                "bench: unknown method or backbone 'swfit': did you mean swift? allowed: afr, baseline, bmft, dfr, diff_gda, diff_prune, fair_prune, fullft_fdr, fullft_reg, fullft_rw, group_dro, group_thresholds, leace, llft, oxonfair, ssd, swift, densenet121, efficientnet_b3, resnet18, resnet50, small, timm, vector\n"
            ),
        ),
        (
            ["new", "method", "swift"],
            2,
            snapshot("bench: the suite already has a method called 'swift': choose another name\n"),
        ),
        (
            ["new", "method", "../x"],
            2,
            snapshot("bench: '../x': a letter expected, then letters, digits and dashes, such as my-method\n"),
        ),
        (
            ["run", "--task", "nowhere.toml"],
            3,
            snapshot(
                "bench: task file nowhere.toml not found. Give the name of a task (`bench ls tasks`) or a TOML file.\n"
            ),
        ),
        (
            ["run", "--task", "ham10000-sex", "--data", "."],
            3,
            snapshot(
                "bench: folder <tmp>/ham10000 of dataset ham10000 not found. Open download, no account: https://doi.org/10.7910/DVN/DBW86T (metadata and two archives of images). Then pass --data DIR or set BENCH_DATA to the folder that contains ham10000/.\n"
            ),
        ),
        (
            ["run", "--task", "cxr-age", "--data", "."],
            3,
            snapshot(
                "bench: folder <tmp>/mimic_cxr of dataset mimic_cxr not found. Credentialed account, course and two agreements: https://physionet.org/content/mimic-cxr-jpg (files/, mimic-cxr-2.0.0-metadata.csv.gz, mimic-cxr-2.0.0-chexpert.csv.gz) and https://physionet.org/content/mimiciv (hosp/patients.csv.gz), in one folder. Then pass --data DIR or set BENCH_DATA to the folder that contains mimic_cxr/.\n"
            ),
        ),
        (
            ["run", "--task", "skin-tone", "--data", "."],
            3,
            snapshot(
                "bench: folder <tmp>/isic of dataset isic not found. Open download, no account: https://challenge.isic-archive.com/data (training images, ground truth and metadata of 2019 and 2020, and the list of duplicates of 2020). Then pass --data DIR or set BENCH_DATA to the folder that contains isic/.\n"
            ),
        ),
        (
            ["logs", "swift", "--results", "nowhere"],
            3,
            snapshot("bench: logs in <tmp>/nowhere/cells not found. A run writes one for each cell.\n"),
        ),
        (
            ["run", "--task", "tiny.toml", "--plugin", "nowhere.py"],
            3,
            snapshot("bench: plugin <tmp>/nowhere.py not found. `bench new method my-method` writes an example.\n"),
        ),
        (
            ["report", "--task", "tiny.toml"],
            1,
            snapshot("bench: no results of tiny: `bench run --task tiny.toml --methods all` makes them\n"),
        ),
    ],
)
def test_mistakes_on_the_command_line(place, words, code, says):
    done = place.bench(*words, code=code, BENCH_DATA="")
    assert place.told(done.stderr) == says


def test_mistakes_in_a_task_file(place):
    text = (place.folder / "tiny.toml").read_text()
    for old, new, says in (
        (
            "image_size = 32",
            "image_siez = 32",
            snapshot(
                "bench: unknown key 'image_siez' in tiny.toml: did you mean image_size? allowed: name, says, preset, source, ood, label, labels, attribute, also, image_size, channels, crop, unit, unit_logit, recipe, baseline, backbones, weights, folds, protocol, stratify, polarity, external, balance, deficit\n"
            ),
        ),
        ("folds = 2", 'folds = "two"', snapshot("bench: tiny.toml: folds='two': int expected\n")),
        (
            'optimiser = "adam"\nlr',
            'optimiser = "adma"\nlr',
            snapshot(
                "bench: unknown value 'adma' for tiny.toml [recipe]: optimiser: did you mean adam? allowed: sgd, adam\n"
            ),
        ),
        (
            'column = "age"',
            'column = "aeg"',
            snapshot(
                "bench: the table of Phantom: no column 'aeg': did you mean 'age'? it has: uid, path, patient, source, drop, age, pneumothorax, melanoma, non_melanoma, female, fst, dark\n"
            ),
        ),
        (
            "hospital=source",
            "hospital=sorce",
            snapshot(
                "bench: unknown value 'sorce' for Phantom.hospital: did you mean source? allowed: source, ood_neutral, ood_reversed\n"
            ),
        ),
        (
            "[ood.ood_neutral]",
            "[ood.ood_neutral",
            snapshot("bench: tiny.toml is not TOML: Expected ']' at the end of a table declaration"),
        ),
    ):
        assert old in text
        (place.folder / "tiny.toml").write_text(text.replace(old, new, 1))
        done = place.bench("run", "--task", "tiny.toml", code=None)
        assert done.returncode == (3 if "no column" in says else 2)
        assert place.told(done.stderr).partition(" (at line ")[0] == says
