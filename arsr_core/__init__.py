"""Two-stream action recognition-oriented video super-resolution (ICCV 2019), as a thin package.

Data flows one way: clip -> LR (degrade) -> SR (sr) -> flow -> scores (recognition) -> records (results) -> book.
Tensors are float in [0, 1], RGB, (N, T, 3, H, W) for clips and (N, 3, H, W) for frames; flow is (N, 2, H, W) in pixels.
"""

__version__ = "0.1.0"


class InputError(ValueError):
    """A user's input is wrong: one line with what was given, what was expected and the remedy.

    The command line prints it and exits with code 2; anything else is a bug and shows its traceback.
    """


class ChapterError(RuntimeError):
    """A chapter's cell or the making of pages failed; the message names the chapter, the cell and the error.

    The command line prints it and exits with code 1.
    """
