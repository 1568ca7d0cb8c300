"""Tests of the table on lines that are made up: python -m unittest discover benches/peers"""

import unittest

from table import PML, ROWS, TORCH, LinesError, duration, judge, pick, table


def row(name):
    return next(row for row in ROWS if row.name == name)


def by(side, work, *seconds, **more):
    key = "peer" if side in {*TORCH, *PML, "lightly"} else "backend"
    return [{"work": work, key: side, "seconds": s, "threads": 2, **more} for s in seconds]


class Judge(unittest.TestCase):
    def test_the_ratio_is_the_median_of_the_rounds(self):
        lines = by("flex", "loss.nt_xent", 1, 2, 1) + by("lightly", "loss.nt_xent", 2, 2, 3)
        cells = judge(row("loss.nt_xent"), lines)
        self.assertEqual(cells[1:], ["1 s", "2 s (lightly)", "2.00 (1.00 to 3.00)", "1.5", "yes"])

    def test_the_better_layout_counts_in_every_round(self):
        torch, last = TORCH
        lines = by("flex", "conv4.train", 1, 1, 1) + by(torch, "conv4.train", 2, 0.5, 2)
        lines += by(last, "conv4.train", 1, 1.1, 1.2)
        cells = judge(row("conv4.train"), lines)
        self.assertEqual(cells[2:], [f"1.1 s ({last})", "1.10 (1.00 to 1.20)", "1.2", "no"])

    def test_ndarray_is_compared_with_flex(self):
        lines = by("flex", "conv4.train", 0.9) + by("ndarray", "conv4.train", 1) + by("torch", "conv4.train", 9)
        self.assertEqual(judge(row("conv4.train_ndarray"), lines)[3:], ["0.90 (0.90 to 0.90)", "0.9", "yes"])

    def test_memory_decides_where_there_is_no_peer(self):
        big = row("search.1000000")
        for peak, met in [(2 << 30, "yes"), ((2 << 30) + 1, "no"), (None, "unknown")]:
            self.assertEqual(judge(big, by("host", big.name, 30, peak_bytes=peak))[-1], met)

    def test_works_that_differ_have_no_ratio(self):
        loss = row("loss.supcon")
        ours, peer = by("flex", loss.name, 1, check=2.0, batch=8), PML[0]
        for other in [
            by(peer, loss.name, 1, 1),
            by(peer, loss.name, 1, check=2.1, batch=8),
            by(peer, loss.name, 1, check=float("nan"), batch=8),
            by(peer, loss.name, 1, check=2.0, batch=9),
            [{**line, "threads": 1} for line in by(peer, loss.name, 1)],
            [],
        ]:
            with self.assertRaises(LinesError):
                judge(loss, ours + other)
        self.assertEqual(judge(loss, ours + by(peer, loss.name, 1, check=2.0001, batch=8))[-1], "yes")
        with self.assertRaises(LinesError):
            judge(loss, by(peer, loss.name, 1))


class Table(unittest.TestCase):
    def test_every_row_asked_for_is_shown_above_the_facts(self):
        lines = by("flex", "loss.nt_xent", 1) + by("lightly", "loss.nt_xent", 2, version="lightly 9")
        lines += by("lightly", "loss.of_the_peer_alone", 2)
        text = table(lines, pick(["loss.nt_xent"]), ["2030-01-02", "a CPU"]).splitlines()
        self.assertEqual(text[0], "| work | ours | peer | ratio | target | met? |")
        self.assertEqual(sum(line.startswith("|") for line in text), 3)
        self.assertEqual(text[-1], "2030-01-02; a CPU; threads: 2; lightly 9.")
        with self.assertRaises(LinesError):
            table(lines, pick(["loss"]), [])

    def test_rows_are_picked_by_name_or_first_part(self):
        self.assertEqual([row.name for row in pick(["conv4.train"])], ["conv4.train"])
        self.assertEqual(len(pick(["conv4"])), 3)
        self.assertEqual(pick([]), ROWS)
        with self.assertRaises(LinesError):
            pick(["conv5"])

    def test_names_of_rows_are_unique(self):
        self.assertEqual(len({row.name for row in ROWS}), len(ROWS))

    def test_durations_keep_three_digits(self):
        self.assertEqual([duration(s) for s in (2e-5, 0.01234, 4.567)], ["20 us", "12.3 ms", "4.57 s"])


if __name__ == "__main__":
    unittest.main()
