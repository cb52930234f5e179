"""How long answers of a store were on their way, by which their places are late already."""

# Clocks may drift apart by as much as this in a second; computers' do by a tenth of it.
_DRIFT = 0.001
_FORGETS = 1.02


class WayBack:
    """Compares answers with the one that came fastest, by the store's clock as well as by this machine's."""

    def __init__(self) -> None:
        self._fastest = self._offset = float("inf")
        self._at = 0.0

    @property
    def seconds(self) -> float:
        """How long the fastest of late took, there and back; 0 before the first."""
        return self._fastest if self._at else 0.0

    def excess(self, asked_at: float, now: float, store_now: float) -> float:
        """Return how many seconds longer than the fastest an answer that came now was on its way back.

        :param asked_at: by this machine's clock.
        :param store_now: when the store answered, by its own, which may be set meanwhile: then it counts as on its way
            back all that the answer took longer than others.
        """
        seconds, offset = now - asked_at, now - store_now
        self._fastest = min(seconds, self._fastest * _FORGETS)
        most = seconds - self._fastest
        least = min(offset, self._offset + _DRIFT * (now - self._at))
        excess = min(offset - least, most)
        self._offset, self._at = offset - excess, now
        return excess
