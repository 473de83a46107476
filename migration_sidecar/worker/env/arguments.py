"""Tells whether env.py asked with which command and target it runs, so that it may do other things for others."""

from __future__ import annotations

import sys
from argparse import Namespace
from functools import wraps
from typing import Any

from alembic.runtime.environment import EnvironmentContext

_OPTIONS = {"cmd", "revision", "sql", "tag"}  # -x, -c and -n are the same for every command
_QUESTIONS = ("get_revision_argument", "get_starting_revision_argument", "get_tag_argument")


class ArgumentsWatch:
    """Notes in `were_read` whether somebody reads the arguments from now on."""

    def __init__(self, options: Namespace) -> None:
        self.were_read = False
        self._watch_context()
        sys.argv = _WatchedWords(self, sys.argv)
        self.options = _WatchedOptions(self, options)

    def _watch_context(self) -> None:
        def watched(question: Any) -> Any:
            @wraps(question)
            def ask(*words: Any, **more: Any) -> Any:
                self.were_read = True
                return question(*words, **more)

            return ask

        for name in _QUESTIONS:
            setattr(EnvironmentContext, name, watched(getattr(EnvironmentContext, name)))


class _WatchedOptions(Namespace):
    __slots__ = ("_watch",)  # so that vars() has the options only

    def __init__(self, watch: ArgumentsWatch, options: Namespace) -> None:
        super().__init__(**vars(options))
        object.__setattr__(self, "_watch", watch)

    def __getattribute__(self, name: str) -> Any:
        if name in _OPTIONS:
            object.__getattribute__(self, "_watch").were_read = True
        return super().__getattribute__(name)


class _WatchedWords(list):  # type: ignore[type-arg]
    def __init__(self, watch: ArgumentsWatch, words: list[str]) -> None:
        super().__init__(words)
        self._watch = watch

    def __getitem__(self, place: Any) -> Any:
        self._watch.were_read = self._watch.were_read or place != 0  # the program's own name tells nothing
        return super().__getitem__(place)

    def __iter__(self) -> Any:
        self._watch.were_read = True
        return super().__iter__()

    def __contains__(self, word: object) -> bool:
        self._watch.were_read = True
        return super().__contains__(word)
