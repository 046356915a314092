"""Why systemd fails a unit at its credentials, in words, and what to do about it."""

from __future__ import annotations

from guestcred.systemd.rules import SIZE_MAX, STORE_PAGES, TOTAL_SIZE_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.systemd.delivery import Problem

_ENCRYPT = "encrypt it anew: systemd-creds encrypt --name={id} PLAIN-FILE ENCRYPTED-FILE"

REFUSALS: dict[Problem, tuple[str, str]] = {
    "absent": ("{source} does not exist", "make that file, or give a default with SetCredential={id}:VALUE"),
    "too-large": (
        f"{{source}} is larger than {SIZE_MAX} bytes",
        "make it smaller, or have the program read the file itself",
    ),
    "folder": (
        "{source} is a folder, and systemd reads files there",
        "move the folder away, or request it by its absolute path",
    ),
    "dangling": (
        "{source} is a link to nothing, and the pattern finds the link",
        "remove the link, or make its target",
    ),
    "loop": ("{source} is a link that leads back to itself", "make the link lead to a file"),
    "locked": (
        "its user may not read {source}, where systemd looks",
        "request a name with ImportCredential= (since systemd 254), which passes over a folder that it may not read; or let "
        "that user read it",
    ),
    "not-a-folder": ("{source} is a file, and the setting has a slash behind it", "write the path without the slash"),
    "invalid-id": (
        "its id would be {id}, which systemd refuses",
        "rename the file: printable ASCII without ':', at most 255 characters with the id of the setting",
    ),
    "deaf": (
        "nobody listens on the socket {source}",
        "start what listens there before this unit, best with a socket unit of its own",
    ),
    "socket": (
        "{source} is a socket, and systemd connects to none there",
        "request the socket by its own absolute path, or take it out of the folder",
    ),
    "not-base64": (
        "{source} is not base64, and so not encrypted",
        f"{_ENCRYPT}; or request it without 'Encrypted'",
    ),
    "not-encrypted": ("{source} is not encrypted, or damaged", f"{_ENCRYPT}; or request it without 'Encrypted'"),
    "other-name": (
        "{source} was encrypted for another name than {id}",
        f"{_ENCRYPT}; or give it the id that it was encrypted for",
    ),
    "expired": (
        "the time until which {source} may be used is over",
        f"{_ENCRYPT}, and with a later --not-after=, or with none",
    ),
    "other-key": ("{source} was encrypted with another machine's key, or is damaged", f"on this machine {_ENCRYPT}"),
    "no-key": (
        "{source} was encrypted with the machine's own key, and there is no /var/lib/systemd/credential.secret",
        f"bring that file back if it was here; else, on this machine, {_ENCRYPT}",
    ),
    "no-tpm": (
        "{source} was encrypted with a TPM2, and none here decrypts it",
        f"see what this machine has with 'systemd-analyze has-tpm2'; {_ENCRYPT}",
    ),
    "undecryptable": (
        "systemd cannot decrypt {source}",
        f"see why with 'systemd-creds --name={{id}} decrypt FILE -'; {_ENCRYPT}",
    ),
    "misread": (
        "systemd 255 and newer drop a backslash in the setting, and end a word of it at a space",
        "use an id and a source without spaces and backslashes, %I or another name in place of %i",
    ),
    "unparsed": (
        "systemd 255 and newer cannot read the setting, for a space or a backslash in it",
        "use an id and a source without spaces and backslashes",
    ),
    "twice": (
        "a folder and another setting both give {id}: which comes first is chance, and where it is the folder, "
        "systemd refuses the other",
        "give the setting another id, or rename the file in the folder",
    ),
    "total-too-large": (
        f"its credentials and their ids have more than {TOTAL_SIZE_MAX} bytes together",
        "give it fewer or smaller ones, or have the program read the files itself",
    ),
    "store-full": (
        f"its credentials take more than {STORE_PAGES} pages of 4096 bytes, and each takes at least one",
        "give it fewer, or one file with all of them",
    ),
}
"""What is wrong with {id} or {source}, and the fix."""

DECRYPTED_FOR_USERS = (
    "a user manager decrypts since systemd 258, root's since 256, and only what was encrypted for its user; as that user: "
    "systemd-creds --user encrypt --name={id} PLAIN-FILE ENCRYPTED-FILE"
)
"""The fix of what a user manager cannot decrypt."""

MAY_START: frozenset[Problem] = frozenset(["twice"])
"""Those at which the unit does not fail each time."""
