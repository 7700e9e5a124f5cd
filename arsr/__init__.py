"""The study and the book that stand on `arsr_core`: data, training, evaluation, records, claims, pages, the command."""


class ChapterError(RuntimeError):
    """A chapter's cell or the making of pages failed; the message names the chapter, the cell and the error.

    The command line prints it and exits with code 1.
    """
