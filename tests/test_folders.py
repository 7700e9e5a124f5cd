"""Data sets in their official folders: tiny ones that the tests make, and the official split files."""

import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from arsr.data import folders
from arsr_core import video
from arsr_core.errors import InputError

ODD = "#1_(Rad)_[NEW]_$(touch x);_'~!"  # the kind of name that HMDB51 has


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """A clip of twelve frames, to be copied wherever a data set needs one."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    frames = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    video.write(path, frames, fps=25)
    return path


def put(clip: Path, *targets: Path) -> None:
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, target)


@pytest.fixture
def ucf101(tmp_path, clip, monkeypatch) -> Path:
    """Two classes, three clips in train and two in test; declared to be the official numbers."""
    root = tmp_path / "ucf"
    names = [f"Archery/v_Archery_g{g:02d}_c01.avi" for g in (1, 8, 9)]
    names += [f"HandstandPushups/v_HandStandPushups_g{g:02d}_c01.avi" for g in (1, 8)]  # official, capital and all
    put(clip, *(root / "UCF-101" / name for name in names))
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    labels = {"Archery": 3, "HandstandPushups": 37}
    (lists / "trainlist01.txt").write_text(
        "".join(f"{n} {labels[n.split('/')[0]]}\r\n" for n in names if "_g01_" not in n)
    )
    (lists / "testlist01.txt").write_text("".join(f"{n}\n" for n in names if "_g01_" in n))
    (lists / "classInd.txt").write_text(
        "".join(f"{n} {c}\n" for n, c in enumerate(folders.DATASETS["ucf101"].classes, 1))
    )
    known = replace(folders.DATASETS["ucf101"], splits={1: {"train": 3, "test": 2}})
    monkeypatch.setitem(folders.DATASETS, "ucf101", known)
    return root


@pytest.fixture
def hmdb51(tmp_path, clip, monkeypatch) -> Path:
    """All classes with a train and a test clip, `wave` with an unused one as well."""
    root = tmp_path / "hmdb51_org"
    lists = tmp_path / "testTrainMulti_7030_splits"
    lists.mkdir()
    for action in folders.DATASETS["hmdb51"].classes:
        names = [f"{ODD}_{action}_f_cm_np{n}_fr_med_{n}.avi" for n in (1, 10)] + ["x_wave_u_nm_np2_ba_bad_0.avi"]
        lines = [f"{name} {code} \n" for name, code in zip(names, "120", strict=True)]
        count = 3 if action == "wave" else 2
        put(clip, *(root / action / name for name in names[:count]))
        (lists / f"{action}_test_split1.txt").write_text("".join(lines[:count]))
    known = replace(folders.DATASETS["hmdb51"], splits={1: {"train": 51, "test": 51, "unused": 1}})
    monkeypatch.setitem(folders.DATASETS, "hmdb51", known)
    return root


@pytest.fixture
def weizmann(tmp_path, clip) -> Path:
    root = tmp_path / "weizmann"
    for action in folders.DATASETS["weizmann"].classes:
        put(clip, *(root / action / f"{actor}_{action}.avi" for actor in folders.WEIZMANN_ACTORS))
    return root


# What is known of the sets ----------------------------------------------------------------------------------


def test_classes_are_in_official_order():
    numbers = {"ucf101": 101, "hmdb51": 51, "weizmann": 10, "ut_interaction": 6, "tennis": 7, "yoga": 6, "folder": 0}
    assert list(folders.DATASETS) == list(numbers)
    clips = {"ucf101": 13320, "hmdb51": 6766}
    for kind, number in numbers.items():
        dataset = folders.DATASETS[kind]
        assert len(set(dataset.classes)) == number
        assert list(dataset.classes) == sorted(dataset.classes, key=str.lower)
        for subsets in dataset.splits.values():
            assert sum(subsets.values()) == clips[kind]


def test_ut_interaction_has_ten_clips_of_each_class_in_each_set():
    scanned = list(folders.DATASETS["ut_interaction"].named(Path("nowhere"), None, 1))
    assert len({item.name for item in scanned}) == 120 and len({item.group for item in scanned}) == 20
    per_class = Counter((item.group.split("_")[0], item.label) for item in scanned)
    assert set(per_class.values()) == {10} and len(per_class) == 12
    assert scanned[0].name == "set1/0_1_4.avi" and scanned[0].action == "punch"  # checked on the real names below
    assert scanned[-1].name == "set2/59_20_2.avi"


# Items ------------------------------------------------------------------------------------------------------


def test_ucf101(ucf101):
    test = folders.items("ucf101", ucf101)
    assert [(i.name, i.label, i.group, i.subset) for i in test] == [
        ("Archery/v_Archery_g01_c01.avi", 2, "Archery_g01", "test"),
        ("HandstandPushups/v_HandStandPushups_g01_c01.avi", 36, "HandstandPushups_g01", "test"),
    ]
    assert all(video.count(item.path) == 12 for item in test)
    train = folders.items("ucf101", ucf101, subset="train")
    assert [item.group for item in train] == ["Archery_g08", "Archery_g09", "HandstandPushups_g08"]
    assert folders.items("ucf101", ucf101, subset=None) == sorted(test + train, key=lambda i: (i.label, i.name))


def test_hmdb51_takes_names_verbatim(hmdb51):
    test = folders.items("hmdb51", hmdb51)
    assert len(test) == 51 and [item.label for item in test] == list(range(51))
    assert test[-1].name == f"wave/{ODD}_wave_f_cm_np10_fr_med_10.avi" and test[-1].path.is_file()
    assert {item.group for item in test} == {ODD}
    assert len(folders.items("hmdb51", hmdb51, subset="train")) == 51
    (unused,) = folders.items("hmdb51", hmdb51, subset="unused")
    assert (unused.group, unused.action, unused.subset) == ("x", "wave", "unused")


def test_names_in_any_encoding(hmdb51):
    path = hmdb51.parent / "testTrainMulti_7030_splits" / "wave_test_split1.txt"
    path.write_bytes(b"\xef\xbb\xbfR\xe4d_wave_f_cm_np1_fr_med_0.avi 2\n")  # a mark in front, and Latin-1
    name = r"wave/R\udce4d_wave_f_cm_np1_fr_med_0.avi"  # as it can be printed
    assert folders.check("hmdb51", hmdb51).clips["missing"][name] == "no such file"
    (hmdb51 / "wave" / os.fsdecode(b"R\xe4d_wave_f_cm_np1_fr_med_0.avi")).touch()
    assert name in folders.check("hmdb51", hmdb51).clips["unreadable"]


def test_weizmann_in_both_releases(weizmann, clip):
    items = folders.items("weizmann", weizmann)
    assert len(items) == 90 and {item.group for item in items} == set(folders.WEIZMANN_ACTORS)
    assert items[0].subset is None and items[0].name == "bend/daria_bend.avi"
    for action in ("run", "skip", "walk"):  # the first release has 93
        (weizmann / action / f"lena_{action}.avi").unlink()
        put(clip, *(weizmann / action / f"lena_{action}{take}.avi" for take in (1, 2)))
    assert len(folders.items("weizmann", weizmann)) == 93 and folders.check("weizmann", weizmann).complete
    (weizmann / "run" / "lena_run2.avi").unlink()
    assert folders.check("weizmann", weizmann).clips["missing"] == {"run/lena_run2.avi": "no such file"}


@pytest.mark.parametrize("prefix", ["", "segmented_"])
def test_ut_interaction_in_both_layouts(tmp_path, clip, prefix):
    root = tmp_path / "ut"
    put(
        clip,
        *(root / f"{prefix}{i.name}" for i in folders.DATASETS["ut_interaction"].named(tmp_path, None, 1)),
    )
    items = folders.items("ut_interaction", root)
    assert len(items) == 120 and items[0].group == "set1_3" and items[0].label == 0
    assert folders.check("ut_interaction", root, decode=True).complete


def test_layouts(ucf101, hmdb51, tmp_path):
    beside = folders.items("ucf101", ucf101 / "UCF-101")  # splits beside the class folders' parent
    assert beside == folders.items("ucf101", ucf101)
    lists = ucf101 / "ucfTrainTestlist"
    assert beside == folders.items("ucf101", ucf101, splits=lists)
    moved = tmp_path / "elsewhere" / "ucf101_splits"
    moved.parent.mkdir()
    shutil.move(lists, moved)
    assert beside == folders.items("ucf101", ucf101, splits=moved.parent)
    for file in moved.iterdir():
        shutil.copy(file, ucf101 / "UCF-101")  # beside the class folders
    assert beside == folders.items("ucf101", ucf101 / "UCF-101")
    assert not folders.check("ucf101", ucf101 / "UCF-101").clips["extra"]
    assert len(folders.items("hmdb51", tmp_path)) == 51  # the folder above holds both


def test_split_files_are_not_extra(hmdb51):
    lists = hmdb51.parent / "testTrainMulti_7030_splits"
    shutil.copytree(lists, hmdb51 / lists.name)
    assert not folders.check("hmdb51", hmdb51).clips["extra"]
    assert not folders.check("hmdb51", hmdb51, splits=lists).clips["extra"]


def test_missing_clips_raise_or_are_left_out(ucf101):
    (ucf101 / "UCF-101" / "Archery" / "v_Archery_g01_c01.avi").unlink()
    with pytest.raises(InputError, match=r"1 of 2 clips missing, first Archery/v_Archery_g01_c01\.avi; complete"):
        folders.items("ucf101", ucf101)
    (item,) = folders.items("ucf101", ucf101, present_only=True)
    assert item.action == "HandstandPushups"
    (ucf101 / "UCF-101" / "HandstandPushups" / "v_HandStandPushups_g01_c01.avi").unlink()
    with pytest.raises(InputError, match="2 of 2 clips missing"):
        folders.items("ucf101", ucf101, present_only=True)


def test_wrong_questions(ucf101, weizmann, tmp_path):
    for arguments, words in [
        (("kinetics", ucf101), "unknown data set 'kinetics'; expected one of ucf101, hmdb51"),
        (("ucf101", tmp_path / "no"), "no: no such folder; expected folders such as ApplyEyeMakeup"),
        (("hmdb51", ucf101), "holds no clips of HMDB51; expected folders such as brush_hair"),
    ]:
        with pytest.raises(InputError, match=words):
            folders.items(*arguments)
    with pytest.raises(InputError, match="UCF101 has no split 4; its official splits: 1"):
        folders.items("ucf101", ucf101, split=4)
    with pytest.raises(InputError, match="no split 2; its official splits: none: leave one group out"):
        folders.items("weizmann", weizmann, split=2)
    with pytest.raises(InputError, match="expected subset test or train or None, got 'unused'"):
        folders.items("ucf101", ucf101, subset="unused")
    with pytest.raises(InputError, match="expected subset test or None, got 'train'"):
        folders.items("weizmann", weizmann, subset="train")
    shutil.rmtree(ucf101 / "ucfTrainTestlist")
    with pytest.raises(InputError, match=r"no split files \(trainlist01\.txt\) there or one folder below"):
        folders.items("ucf101", ucf101)


# Malformed split files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("trainlist01", "Archery/v_Archery_g01_c02.avi 3\nnonsense\n", "line 2: expected 'CLASS/v_CLASS_gNN"),
        (
            "trainlist01",
            "Archery/v_Archery_g02_c01.avi\n",
            "line 1: expected 'CLASS/v_CLASS_gNN_cNN.avi LABEL'",
        ),
        ("trainlist01", "Archery/v_Archery_g02_c01.avi 4\n", "line 1: expected label 3 for Archery, got 4"),
        ("trainlist01", "Bowing/v_Bowing_g02_c01.avi 4\n", "line 1: unknown class 'Bowing'"),
        (
            "trainlist01",
            "Archery/v_Archery_g01_c01.avi 3\n",
            "Archery/v_Archery_g01_c01.avi is listed twice; expected each clip once: download",
        ),
        ("trainlist01", "\n\nArchery/v_Archery_g2_c1.avi 3\n" * 2, "Archery/v_Archery_g2_c1.avi is listed twice"),
        ("trainlist01", "\n", "the file is empty; expected lines"),
        ("trainlist01", "../v_Archery_g01_c01.avi 3\n", "line 1: unknown class '..'"),
        ("trainlist01", "Archery/../v_x_g01_c01.avi 3\n", "line 1: expected"),
        ("trainlist01", "Archery/v_/../../x_g01_c01.avi 3\n", "line 1: expected"),
        ("trainlist01", "/etc/v_x_g01_c01.avi 3\n", "line 1: expected"),
        ("trainlist01", "Archery/v_a\\x_g01_c01.avi 3\n", "line 1: expected"),
        ("trainlist01", "Archery/v_a\0x_g01_c01.avi 3\n", "line 1: expected"),
        ("testlist01", None, "testlist01.txt: no such file; download the split files again"),
        ("classInd", "1 ApplyEyeMakeup\n2 Archery\n", "line 2: expected the official class 2, got 'Archery'"),
        ("classInd", "0 YoYo\n", "line 1: expected the official class 0, got 'YoYo'"),
    ],
)
def test_malformed_ucf101_lists_are_refused(ucf101, file, text, words):
    path = ucf101 / "ucfTrainTestlist" / f"{file}.txt"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        folders.items("ucf101", ucf101)
    assert str(path.parent) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "a_wave_u_nm_np2_ba_bad_0.avi 3\n",
            r"line 1: unknown code 3; expected 1 \(train\), 2 \(test\) or 0",
        ),
        ("a_wave_u_nm_np2_ba_bad_0.avi\n", "line 1: expected 'NAME.avi CODE'"),
        (
            "a_wave_u_nm_np2_ba_bad_0.avi 1\n\na_wave_u_nm_np2_ba_bad_0.avi 2\n",
            "wave/a_wave_u_nm_np2_ba_bad_0.avi is listed twice",
        ),
        ("a_walk_u_nm_np2_ba_bad_0.avi 1\n", "line 1: expected 'VIDEO_wave_TAGS_N.avi'"),
        ("../a_wave_u_nm_np2_ba_bad_0.avi 1\n", "line 1: expected 'NAME.avi CODE'"),
        ("", "the file is empty"),
        (None, "wave_test_split1.txt: no such file; expected one for each of 51 classes"),
    ],
)
def test_malformed_hmdb51_lists_are_refused(hmdb51, text, words):
    path = hmdb51.parent / "testTrainMulti_7030_splits" / "wave_test_split1.txt"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        folders.items("hmdb51", hmdb51)
    assert str(path.parent) in str(caught.value) and "\n" not in str(caught.value)


def test_a_split_file_of_an_unknown_class_is_refused(hmdb51):
    (hmdb51.parent / "testTrainMulti_7030_splits" / "dance_test_split1.txt").write_text("x\n")
    with pytest.raises(InputError, match="dance_test_split1.txt: unknown class 'dance'"):
        folders.items("hmdb51", hmdb51)


# Check ------------------------------------------------------------------------------------------------------


def test_a_complete_set(ucf101, hmdb51, weizmann, capfd):
    for kind, root in (("ucf101", ucf101), ("hmdb51", hmdb51), ("weizmann", weizmann)):
        for decode in (False, True):
            report = folders.check(kind, root, decode=decode)
            assert report.complete and not any(report.clips[state] for state in ("missing", "unreadable", "extra"))
            assert "complete" in str(report) and "INCOMPLETE" not in str(report)
    assert len(report.clips["found"]) == 90
    assert capfd.readouterr() == ("", "")  # no terminal, no progress bar


def test_everything_odd_is_reported_with_its_reason(ucf101, clip):
    home = ucf101 / "UCF-101"
    (home / "Archery" / "v_Archery_g01_c01.avi").unlink()
    shutil.rmtree(home / "HandstandPushups")
    (home / "Archery" / "v_Archery_g08_c01.avi").write_bytes(b"")
    put(clip, home / "Archery" / "copy of v_Archery_g08_c01.avi", home / "Dancing" / "v_Dancing_g01_c01.avi")
    report = folders.check("ucf101", ucf101)
    assert not report.complete
    assert report.clips["missing"] == {
        "Archery/v_Archery_g01_c01.avi": "no such file",
        "HandstandPushups/v_HandStandPushups_g01_c01.avi": "no folder HandstandPushups",
        "HandstandPushups/v_HandStandPushups_g08_c01.avi": "no folder HandstandPushups",
    }
    assert report.clips["unreadable"] == {
        "Archery/v_Archery_g08_c01.avi": "the file is empty (0 bytes); copy or download it again"
    }
    assert report.clips["extra"] == {
        "Archery/copy of v_Archery_g08_c01.avi": "not a clip that UCF101 names",
        "Dancing/v_Dancing_g01_c01.avi": "not a clip that UCF101 names",
    }
    text = str(report)
    assert text.startswith(f"UCF101 in {home}, split 1: INCOMPLETE\nexpected 2 test, 3 train\n")
    for state in ("missing", "unreadable", "extra"):
        assert all(f"  {name}: {reason}" in text for name, reason in report.clips[state].items())
    assert text.splitlines()[2:6] == [
        "  Archery: 1 found, 1 missing, 1 unreadable, 1 extra",
        "  Dancing: 1 extra",
        "  HandstandPushups: 2 missing",
        "",
    ]


def test_decoding_finds_what_opening_does_not(weizmann):
    path = weizmann / "bend" / "ido_bend.avi"
    data = bytearray(path.read_bytes())
    middle = (data.index(b"movi") + len(data)) // 2
    data[middle:] = bytes(len(data) - middle)  # what a download that was given up leaves behind
    path.write_bytes(data)
    assert folders.check("weizmann", weizmann).complete
    report = folders.check("weizmann", weizmann, decode=True)
    assert list(report.clips["unreadable"]) == ["bend/ido_bend.avi"] and not report.complete
    assert "the picture ends after" in report.clips["unreadable"]["bend/ido_bend.avi"]


def test_a_split_that_is_not_the_official_one_is_not_complete(ucf101):
    path = ucf101 / "ucfTrainTestlist" / "trainlist01.txt"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    report = folders.check("ucf101", ucf101)
    assert not report.complete and not report.clips["missing"] and len(report.clips["extra"]) == 2
    assert "expected 2 test, 1 train\nthe official split has 3 train, 2 test; download" in str(report)


def test_long_lists_are_cut_in_the_text_only(weizmann):
    for action in folders.DATASETS["weizmann"].classes[1:]:
        shutil.rmtree(weizmann / action)
    report = folders.check("weizmann", weizmann)
    assert len(report.clips["missing"]) == 81 and "and 61 more" in str(report) and len(str(report).splitlines()) < 60


# Official split files and real clips ------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["ucf101", "hmdb51"])
@pytest.mark.parametrize("split", [1, 2, 3])
def test_official_splits(shared_data, kind, split):
    dataset = folders.DATASETS[kind]
    root, splits = shared_data / "clips" / kind, shared_data / "splits"
    report = folders.check(kind, root, splits=splits, split=split, decode=True)
    assert report.expected == report.official == dataset.splits[split]
    present = folders.items(kind, root, splits=splits, split=split, subset=None, present_only=True)
    assert len(present) == len(report.clips["found"]) == {"ucf101": 2, "hmdb51": 4}[kind]
    total = sum(report.expected.values())
    assert not report.clips["unreadable"] and not report.clips["extra"]
    assert len(report.clips["missing"]) == total - len(present)


@pytest.mark.shared
def test_official_groups_never_cross_a_split(shared_data):
    for kind in ("ucf101", "hmdb51"):
        lists = shared_data / "splits" / f"{kind}_splits"
        items = list(folders.DATASETS[kind].named(Path("nowhere"), lists, 1))
        train, test = ({(i.label, i.group) for i in items if i.subset == s} for s in ("train", "test"))
        assert train and test and not train & test


@pytest.mark.shared
def test_real_small_sets_are_complete(shared_data):
    for kind in ("weizmann", "ut_interaction"):
        report = folders.check(kind, shared_data / kind)
        assert report.complete and not report.clips["extra"], str(report)


@pytest.mark.shared
@pytest.mark.parametrize("kind, clips, groups", [("tennis", 371, 63), ("yoga", 95, 16)])
def test_real_sets_without_a_list(shared_data, kind, clips, groups):
    items = folders.items(kind, shared_data / kind, folds=5)
    assert len(items) == clips and len({item.group for item in items}) == groups
    assert {item.action for item in items} == {*folders.DATASETS[kind].classes}
    sizes = Counter(item.fold for item in items)
    assert sizes.keys() == {*"12345"} and max(sizes.values()) < 1.25 * clips / 5
    own = folders.items("folder", shared_data / kind, groups=folders.DATASETS[kind].clips, folds=5)
    assert own == items  # the generic rule


# Folders of classes -----------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path, clip) -> Path:
    """Two classes of two scenes each, in whatever formats and depth; what is no clip is passed over."""
    root = tmp_path / "own"
    names = ("walk/s01_1.avi", "walk/s01_2.MP4", "walk/more/s02_1.avi", "run/s02_1.avi", "run/s01_1.avi")
    put(clip, *(root / name for name in names))
    (root / "run" / "notes.txt").touch()
    (root / "run" / "._s01_1.avi").touch()  # what another system leaves behind
    (root / ".cache").mkdir()
    return root


GROUPS = "clip,group\nwalk/s01_1.avi,a\nwalk/s01_2.MP4,a\nwalk/more/s02_1.avi,b\nrun/s02_1.avi,b\nrun/s01_1.avi,c\n"


def test_any_folder(own, tmp_path):
    alone = folders.items("folder", own)
    assert [(i.name, i.label, i.action) for i in alone] == [
        ("run/s01_1.avi", 0, "run"),
        ("run/s02_1.avi", 0, "run"),
        ("walk/more/s02_1.avi", 1, "walk"),
        ("walk/s01_1.avi", 1, "walk"),
        ("walk/s01_2.MP4", 1, "walk"),
    ]
    assert all(item.group == item.fold == item.name for item in alone) and video.count(alone[0].path) == 12
    found = folders.items("folder", own, groups="s([0-9]+)_")
    assert [item.group for item in found] == ["01", "02", "02", "01", "01"]
    table = tmp_path / "groups.csv"
    for text in (
        GROUPS,
        "\ufeff" + GROUPS.replace("\n", "\r\n"),
        GROUPS.replace(",", ',"x,y",'),
    ):  # of a spreadsheet, or wider
        table.write_text(text)
        assert [item.group for item in folders.items("folder", own, groups=str(table))] == ["c", "b", "b", "a", "a"]
    folded = folders.items("folder", own, groups="s([0-9]+)_", folds=2)
    assert [item.fold for item in folded] == ["1", "2", "2", "1", "1"]


def test_a_folder_is_checked(own, clip):
    report = folders.check("folder", own, groups="s([0-9]+)_", folds=2)
    assert report.complete and not report.clips["extra"]
    assert str(report) == (
        f"a folder of classes in {own}, 2 groups: complete\nexpected 5 clips\nfold 1: 3 clips\nfold 2: 2 clips"
    )
    (own / "run" / "s02_1.avi").write_bytes(b"")
    report = folders.check("folder", own)
    assert not report.complete and list(report.clips["unreadable"]) == ["run/s02_1.avi"]


def test_a_named_set_takes_what_its_pattern_matches(tmp_path, clip):
    classes = folders.DATASETS["yoga"].classes
    put(clip, *(tmp_path / "yoga" / c / f"p{n:02d}_{c}_1356{n}0.mp4" for c in classes for n in (1, 2)))
    put(clip, tmp_path / "yoga" / classes[0] / "copy.mp4", tmp_path / "yoga" / "more" / "p01_more_1.mp4")
    items = folders.items("yoga", tmp_path)
    assert len(items) == 12 and {item.group for item in items} == {"p01", "p02"}
    assert [*folders.check("yoga", tmp_path).clips["extra"]] == [f"{classes[0]}/copy.mp4", "more/p01_more_1.mp4"]
    shutil.rmtree(tmp_path / "yoga" / classes[2])
    with pytest.raises(InputError, match=rf"{classes[2]}: no clips \(.avi, .*\); add some, or take the class out"):
        folders.items("yoga", tmp_path)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ("s([0-9]+", r"--groups 's\(\[0-9\]\+': missing \), .*expected a regular expression with one group"),
        ("s[0-9]+_", "0 groups in parentheses; expected a regular expression with one group"),
        ("(s)([0-9]+)_", "2 groups in parentheses"),
        ("walk/(s[0-9]+)_", r"matches nothing in run/s01_1.avi and 2 others; expected"),
        ("(x)?s", "group '' of run/s01_1.avi; expected a name"),
        ("(.*)_", r"group 'run/s01' of run/s01_1.avi; expected a name without / or"),
        ("absent.csv", "absent.csv: no such file; write a row a clip, with columns clip and group"),
    ],
)
def test_wrong_groups(own, groups, words):
    with pytest.raises(InputError, match=words) as caught:
        folders.items("folder", own, groups=groups)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "groups.csv: no column clip; write a row a clip"),
        (GROUPS.replace("group", "scene", 1), "groups.csv: no column group"),
        (GROUPS + "run/s03_1.avi,d\n", r"no clip run/s03_1.avi \(1 such\); names are relative to the data's folder"),
        (GROUPS.replace("run/s01_1.avi,c\n", ""), r"lacks run/s01_1.avi \(1 such\)"),
        (GROUPS + "run/s01_1.avi,d\n", "run/s01_1.avi is listed twice"),
        (GROUPS + "run/s01_1.avi\n", "line 7: expected 2 values"),
        (GROUPS + "run/s01_1.avi,d,e\n", "line 7: expected 2 values"),
        (GROUPS + '"run/s03_1.avi,d\n', "line 7: unexpected end of data"),
        (GROUPS.replace(",c", ","), "group '' of run/s01_1.avi"),
        (GROUPS.replace(",c", ",../c"), r"group '../c' of run/s01_1.avi; expected a name without / or"),
    ],
)
def test_wrong_tables_of_groups(own, tmp_path, text, words):
    table = tmp_path / "groups.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        folders.items("folder", own, groups=str(table))
    assert str(table) in str(caught.value) and "\n" not in str(caught.value)


def test_folders_that_cannot_serve(own, tmp_path, clip):
    for root, words in (
        (tmp_path / "no", "no: no such folder; expected"),
        (own / "run", "run: 0 subfolders; expected"),
    ):
        with pytest.raises(InputError, match=words):
            folders.items("folder", root)
    with pytest.raises(InputError, match="Weizmann: the groups of its clips are known"):
        folders.items("weizmann", own, groups="(s)")
    with pytest.raises(InputError, match="UCF101 has official splits; leave out --folds"):
        folders.items("ucf101", own, folds=5)
    with pytest.raises(InputError, match="would change the folds"):
        folders.items("folder", own, folds=2, present_only=True)
    with pytest.raises(InputError, match="3 folds of 2 groups"):
        folders.items("folder", own, groups="s([0-9]+)_", folds=3)
    put(clip, own / "jump" / "s01_1.avi")
    with pytest.raises(InputError, match="jump/s01_1.avi is the only clip of class jump"):
        folders.check("folder", own, groups="s([0-9]+)_")
    put(clip, own / "jump" / "s01_2.avi")
    for use in (folders.check, folders.items):
        with pytest.raises(InputError, match="group 01 holds all 2 clips of class jump"):
            use("folder", own, groups="s([0-9]+)_", **({"folds": 2} if use is folders.items else {}))
    (own / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no clips \(.avi, .*\); add some, or take the class out"):
        folders.items("folder", own)
    for name in ("walk", "jump", "empty"):
        shutil.rmtree(own / name)
    with pytest.raises(
        InputError, match="own: 1 subfolders; expected a subfolder of videos for each class, two or more"
    ):
        folders.items("folder", own)
