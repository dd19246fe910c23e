"""The wallet of a data directory: whether it can be read, without its password."""

from node.doctor.finding import Finding, Place, ok, plain, problem, warning

ANOTHER_WAY = "restore it from a backup, or move it away and give your twelve words with --token-file"


def wallet(place: Place) -> Finding:
    """The keystore is whole, and what opens it is known or will be asked for."""
    path = place.directory / "keystore.json"
    try:
        if not path.exists():
            return _without(place)
        from wallet import keystore_file
        from wallet.errors import KeystoreError
    except ImportError as error:
        return warning(f"The wallet was not looked at: {error.name} is missing.", "install the program again")
    except OSError as error:
        return problem(f"{path} cannot be reached: {error.strerror}.", "run as its owner")
    try:
        kept = keystore_file.load(path)
    except (KeystoreError, OSError) as error:
        return problem(f"{path} cannot be read: {plain(error)}.", ANOTHER_WAY)
    owner = f"The wallet {plain(kept.address)} is here"
    if (place.directory / "keystore.password").exists():
        return ok(f"{owner}; its password was made by the node and lies beside it.")
    return ok(f"{owner}; a start asks for its password, or takes NEUROSHARD_PASSWORD or --password-file.")


def _without(place: Place) -> Finding:
    """No keystore: nothing to worry about, unless a ledger says that there was one."""
    if (place.directory / "network").exists():
        return problem(f"{place.directory / 'keystore.json'} is missing, and a node has run here.", ANOTHER_WAY)
    return ok("There is no wallet yet: the first start makes one, or takes your twelve words with --token-file.")
