"""How far a run is: a bar on a terminal, plain lines elsewhere.

Owns the only import of tqdm. Knows nothing of networks or ranks: it is told the simulated time and the number of spikes so far, and where
to write.
Real-time factor = wall time / simulated time, so that smaller is faster and 1 is real time.
"""

import shutil
import time
from collections.abc import Callable
from typing import Any, Literal, TextIO

Style = Literal["auto", "bar", "lines", "none"]

BAR_SECONDS = 0.1
"""A bar is drawn at most this often."""
LINE_SECONDS = 0.5, 30.0
"""Plain lines: one for each tenth of the run, but not sooner than the first after another, and after the second at the latest."""


class Progress:
    """Report the progress of one run.

    Parameters
    ----------
    until_ms, start_ms : float
        End and start of the run, simulated ms.
    n_neurons : int
        Neurons of the whole network, for the mean rate.
    stream : text stream
        Where to write; its ``isatty`` decides between bar and lines when ``style`` is "auto".
    style : {"auto", "bar", "lines", "none"}
    clock : callable
        Wall time in seconds.
    """

    def __init__(
        self,
        until_ms: float,
        n_neurons: int,
        *,
        stream: TextIO,
        style: Style = "auto",
        start_ms: float = 0.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._until = until_ms
        self._start = start_ms
        self._n_neurons = n_neurons
        self._stream = stream
        self._style = style if style != "auto" else ("bar" if stream.isatty() else "lines")
        self._clock = clock
        self._began = self._shown_at = clock()
        self._shown_ms = start_ms
        self._latest = (start_ms, 0)
        self._bar: Any = None

    def update(self, now_ms: float, n_spikes: int) -> None:
        """Tell that the run has reached ``now_ms`` and that all neurons together have fired ``n_spikes`` times since it started."""
        if self._style == "none":
            return
        self._latest = (now_ms, n_spikes)
        if now_ms <= self._start:  # what came before, compilation above all, is not simulation
            self._began = self._shown_at = self._clock()
            return
        waited = self._clock() - self._shown_at
        if self._style == "bar":
            due = waited >= BAR_SECONDS
        else:
            tenth = (now_ms - self._shown_ms) >= 0.1 * (self._until - self._start) * (1 - 1e-9)
            due = (tenth and waited >= LINE_SECONDS[0]) or waited >= LINE_SECONDS[1]
        if due:
            self._show()

    def close(self) -> None:
        """Show the last state told, whatever the time since the one before, and end the bar."""
        if self._style != "none" and self._latest[0] > self._shown_ms:
            self._show()
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._style = "none"

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _show(self) -> None:
        now_ms, n_spikes = self._latest
        self._shown_at, self._shown_ms = self._clock(), now_ms
        if self._style == "bar":
            self._show_bar(now_ms, n_spikes)
        else:
            percent = 100 * (now_ms - self._start) / (self._until - self._start)
            line = f"{now_ms:10.1f} of {self._until:.1f} ms ({percent:3.0f} %), {self._figures(now_ms, n_spikes)}\n"
            self._stream.write(line)
            self._stream.flush()

    def _show_bar(self, now_ms: float, n_spikes: int) -> None:
        if self._bar is None:
            self._bar = _new_bar(self._start, self._until, self._stream)
        self._bar.n = min(now_ms, self._until)
        self._bar.set_postfix_str(self._figures(now_ms, n_spikes), refresh=False)
        self._bar.refresh()

    def _figures(self, now_ms: float, n_spikes: int) -> str:
        simulated = now_ms - self._start
        wall = self._clock() - self._began
        rate = n_spikes / (max(self._n_neurons, 1) * simulated * 1e-3)
        left = wall * max(self._until - now_ms, 0.0) / simulated
        return f"real-time factor {wall / (simulated * 1e-3):.3g}, {rate:.3g} Hz, {_clock_face(left)} left"


def _clock_face(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _new_bar(start_ms: float, until_ms: float, stream: TextIO) -> Any:
    from tqdm.std import tqdm  # here, since most runs of a test or a batch job never draw one

    tqdm.monitor_interval = 0  # no thread of its own: the updates come often enough
    return tqdm(
        total=until_ms,
        initial=start_ms,
        file=stream,
        # Behind mpiexec the stream is a pipe and has no width: the environment's COLUMNS says it then.
        ncols=shutil.get_terminal_size((100, 24)).columns,
        bar_format="{percentage:3.0f} %|{bar}| {n:.0f}/{total:.0f} ms{postfix}",
    )
