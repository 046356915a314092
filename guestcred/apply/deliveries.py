"""The services of the configuration -> what each gets, with the values by place; only for a guest that has some."""

from __future__ import annotations

from guestcred.apply.plan import Delivery, unknown_user
from guestcred.errors import FINDINGS, GuestcredError
from guestcred.guest.config import read_services
from guestcred.guest.credstores import rescues
from guestcred.guest.rootfs import NotAFileError, Tree
from guestcred.guest.sources import Source, Sources
from guestcred.guest.users import User, find_user
from guestcred.systemd.requests import SET, Request
from guestcred.systemd.search_path import SEARCH_PATH
from guestcred.systemd.shown import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guestcred.guest.toml_file import Service


class Deliveries:
    """The configured services, with their users as soon as somebody asked for them."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._services = read_services(tree)
        self._users: list[User] = []

    @property
    def units(self) -> list[str]:
        """The services' units."""
        return [service.unit for service in self._services]

    def find_users(self) -> None:
        """Look up the users; a directory of users may be asked over a connection. Raises GuestcredError for an unknown one."""
        self._users = [_user(self._tree, service) for service in self._services]

    def resolve(self, rescued: dict[str, bytes]) -> tuple[list[Delivery], dict[str, bytes]]:
        """What each service gets where `rescued`, by name, is in run/credstore too, and the values by place."""
        sources = Sources(self._tree, planned=dict.fromkeys(rescues(self._tree)) | rescued)
        deliveries: list[Delivery] = []
        values: dict[str, bytes] = {}
        for service, user in zip(self._services, self._users):
            found = _find(self._tree, service, sources)
            values |= dict(found.values())
            sizes = {identifier: (place, len(value)) for identifier, (place, value) in found.items()}
            deliveries.append(Delivery(service, user, sizes))
        return deliveries, values


def _user(tree: Tree, service: Service) -> User:
    user = find_user(tree, service.user)
    if user is None:
        raise unknown_user(service, tree.shown(service.path))
    return user


def _find(tree: Tree, service: Service, sources: Sources) -> dict[str, tuple[str, bytes]]:
    """Id to (place, value) for each id with a source, in the order load, import, set; first wins (systemd.exec(5))."""
    found: dict[str, tuple[str, bytes]] = {}
    defaults = dict(service.defaults)
    for request in service.requests:
        for source in sources.resolve(request, SEARCH_PATH, only_files=True):
            if source.id in found:
                continue
            value = (
                (f"{service.path} ({service.unit}, set {source.id})", defaults[source.id])
                if request.setting == SET
                else _value(tree, service, request, source, sources)
            )
            # a name that may be the secret itself helps no service, and the report would show it; one that the
            # configuration has is a name
            if value is None or (request.is_pattern and shown(source.name, value[1]) != source.name):
                continue
            found[source.id] = value
    return found


def _value(
    tree: Tree, service: Service, request: Request, source: Source, sources: Sources
) -> tuple[str, bytes] | None:
    try:
        return sources.value(source)
    except NotAFileError as error:
        raise GuestcredError(
            f"{tree.shown(service.path)}: services.{service.unit.removesuffix('.service')}.load: "
            f"{request.id!r}: {error.problem}",
            "put a regular file there, or give another source",
            status=FINDINGS,
        ) from None
