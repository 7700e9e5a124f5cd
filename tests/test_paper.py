import pytest

from arsr import paper
from arsr_core.errors import InputError


def test_shapes_of_the_tables():
    sizes = {name: len(paper.table(name)) for name in ("table1", "table2", "table3", "table4", "table_b")}
    # Table 4: 11 methods and HR; SoSR+ToSR has its four fusion cells only
    assert sizes == {"table1": 18, "table2": 6, "table3": 4, "table4": 11 * 12 + 4, "table_b": 10}
    assert len(paper.table("figure6")) == 6 and len(paper.table("figure8")) == 30


def test_every_hmdb51_tsn_cell_is_a_count_of_1530():
    cells = paper.table("table4").query("dataset == 'hmdb51' and network == 'tsn'")
    assert len(cells) == 34 and cells.exact.all() and (cells.n == 1530).all()
    assert ((100 * cells["count"] / 1530).round(2) == cells.accuracy).all()


def test_st_resnet_cells_are_not_all_counts():
    """13 of 34 HMDB51 cells of ST-ResNet are no k/1530: their count stays empty instead of being guessed."""
    cells = paper.table("table4").query("dataset == 'hmdb51' and network == 'st_resnet'")
    assert (~cells.exact).sum() == 13
    assert cells[~cells.exact]["count"].isna().all()
    assert cells[cells.stream == "fusion"].exact.all()


@pytest.mark.parametrize("name", ["table1", "table2", "table3"])
def test_every_cell_is_a_count(name):
    cells = paper.table(name)
    assert cells.exact.all()
    assert ((100 * cells["count"].astype(float) / cells.n).round(2) == cells.accuracy).all()


def test_one_video_has_counts_of_snippets_and_no_intervals():
    cells = paper.table("figure6")
    assert (100 * cells["count"] / 25 == cells.accuracy).all() and "low" not in cells
    record = paper.records()["figure6.sosr"]
    assert (record.count, record.n, record.low) == (15, 25, None)


def test_ucf101_means_over_classes_have_no_count():
    cells = paper.table("table4").query("dataset == 'ucf101'")
    assert cells["count"].isna().all() and not cells.exact.any()


def test_intervals_contain_the_cell():
    for name in ("table1", "table2", "table3", "table4"):
        cells = paper.table(name)
        assert ((cells.low <= cells.accuracy) & (cells.accuracy <= cells.high)).all()


def test_printed_numbers():
    table4 = paper.table("table4").set_index(["method", "dataset", "network", "stream"]).accuracy
    assert table4["sosr", "hmdb51", "tsn", "spatial"] == 53.59
    assert table4["sosr+tosr", "ucf101", "tsn", "fusion"] == 92.13
    assert table4["hr", "ucf101", "st_resnet", "fusion"] == 92.94
    table_b = paper.table("table_b").set_index(["method", "dataset"])
    assert table_b.psnr["duf52", "hmdb51"] == 33.7269 and table_b.ssim["sosr", "ucf101"] == 0.5493


def test_baselines_of_the_ablations_are_rows_of_table4():
    table4 = paper.table("table4").query("dataset == 'hmdb51' and network == 'tsn'")
    spatial = table4[table4.stream == "spatial"].set_index("method").accuracy
    temporal = table4[table4.stream == "temporal"].set_index("method").accuracy
    table2 = paper.table("table2").set_index(["structure", "loss"]).accuracy
    table3 = paper.table("table3").set_index(["structure", "loss"]).accuracy
    assert table2["esrgan", "mse+feature+adversarial"] == spatial["esrgan"]
    assert table2["esrgan", "wmse+feature+adversarial"] == spatial["sosr"]
    assert table3["duf16", "plain"] == temporal["duf16"] and table3["duf16", "warp"] == temporal["tosr"]


@pytest.mark.parametrize(
    "percent, n, count", [(53.59, 1530, 820), (0.0, 25, 0), (100.0, 7, 7), (7.89, 38, 3), (53.58, 1530, None)]
)
def test_recover_count(percent, n, count):
    assert paper.recover_count(percent, n) == count


def test_a_record_for_every_number():
    records = paper.records()
    cells = sum(len(paper.table(n)) for n in ("table1", "table2", "table3", "table4", "figure6", "figure8"))
    assert len(records) == cells + 2 * len(paper.table("table_b"))
    sosr = records["table4.sosr.hmdb51.tsn.spatial"]
    assert (sosr.value, sosr.count, sosr.n, sosr.provenance.kind) == (53.59, 820, 1530, "paper")
    assert records["table_b.rcan.ucf101.psnr"].unit == "dB"
    assert "approximate" in records["table4.sosr.ucf101.tsn.spatial"].interval


def test_unknown_table():
    with pytest.raises(InputError, match="table9.*table1"):
        paper.table("table9")


@pytest.mark.shared
def test_the_package_data_equal_the_transcript(shared_data):
    import yaml

    transcript = yaml.safe_load((shared_data.parent / "paper" / "tables.yaml").read_text())
    table4 = paper.table("table4").set_index(["method", "dataset", "network", "stream"]).accuracy.to_dict()
    expected = {
        (method, dataset, network, stream): value
        for method, datasets in transcript["table4"]["rows"].items()
        for dataset, networks in datasets.items()
        for network, streams in networks.items()
        for stream, value in streams.items()
        if value is not None
    }
    assert table4 == expected
    printed, table1 = paper.printed(), paper.table("table1").query("method == 'hr'")
    assert table1.accuracy.tolist() == [row["hr"] for row in transcript["table1"]["rows"]]
    for name in ("table2", "table3"):
        assert paper.table(name).accuracy.tolist() == [row["accuracy"] for row in transcript[name]["rows"]]
    assert printed["table_b"]["rows"] == transcript["table_b"]["rows"]
    assert printed["figure6"]["rows"] == transcript["figure6"]["values"]
    assert printed["figure8"]["rows"] == {s: transcript["figure8"][s] for s in ("spatial", "temporal")}
