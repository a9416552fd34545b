"""Parts of wraps: the choice of the method, the drop-in's text, files that are ours or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts.cgroup import members, payload
from ksmrun.facts.wraps import find_wraps
from ksmrun.host.owned_files import is_foreign, remove_ours, write_ours
from ksmrun.model.errors import KsmrunError
from ksmrun.model.launch import Mechanism, Request, SharedLayout
from ksmrun.model.wrap import HEADER_MARK, LAUNCHER, LIBEXEC, ExecCommand, Method, UnitFacts
from ksmrun.plan.mechanism import LOST_AT_EXEC, Choice
from ksmrun.wrap import quadlet
from ksmrun.wrap.dropin import (
    DomainClaim,
    KeyPlace,
    fingerprint,
    is_inaccessible,
    key_unit,
    render,
    unwrapped,
    visibility,
    written_fingerprint,
)
from ksmrun.wrap.execline import parse, simplified, unquote
from ksmrun.wrap.method import (
    KILL,
    choose_method,
    denied_layout_calls,
    domain_source,
    hides_main_pid,
    killing_calls,
    launcher_needed_for,
)

PRCTL = Choice(Mechanism.PRCTL, "prctl before exec")
PLAIN = Request((b"server",))


def unit(name: str = "a.service", **properties: str) -> UnitFacts:
    return UnitFacts(name, "@." in name, (), properties, ())


@pytest.mark.parametrize(
    ("asked", "works", "needed", "method", "refused"),
    [
        (Method.AUTO, True, None, Method.MEMORY_KSM, False),
        (Method.AUTO, False, None, Method.WRAPPER, False),
        (Method.AUTO, None, None, Method.WRAPPER, False),
        (Method.AUTO, True, "layout", Method.WRAPPER, False),
        (Method.WRAPPER, True, None, Method.WRAPPER, False),
        (Method.MEMORY_KSM, True, None, Method.MEMORY_KSM, False),
        (Method.MEMORY_KSM, False, None, Method.MEMORY_KSM, True),
        (Method.MEMORY_KSM, None, None, Method.MEMORY_KSM, True),
        (Method.MEMORY_KSM, True, "layout", Method.MEMORY_KSM, True),
    ],
)
def test_the_way(
    asked: Method, works: bool | None, needed: str | None, method: Method, refused: bool
) -> None:
    chosen = choose_method(asked, works, needed)
    assert chosen.method is method
    assert (chosen.refusal is not None) is refused


def test_what_only_the_launcher_can_do() -> None:
    assert launcher_needed_for(PLAIN, None, PRCTL) is None
    layout = SharedLayout(b"", None)
    assert launcher_needed_for(Request((b"a",), layout=layout), None, PRCTL)
    assert launcher_needed_for(Request((b"a",), require=True), None, PRCTL)
    assert launcher_needed_for(Request((b"a",), domain="web"), None, PRCTL)
    assert launcher_needed_for(PLAIN, None, Choice(Mechanism.PRELOAD, "the shim")) == "the shim"
    assert launcher_needed_for(PLAIN, None, Choice(Mechanism.PRCTL, "", LOST_AT_EXEC))


def test_services_whose_main_process_systemd_guesses() -> None:
    for properties, guesses in (
        ({"Type": "forking"}, True),
        ({"Type": "forking", "PIDFile": "", "GuessMainPID": "yes"}, True),
        ({"Type": "forking", "PIDFile": "/run/a.pid"}, False),
        ({"Type": "forking", "GuessMainPID": "no"}, False),
        ({"Type": "simple"}, False),
    ):
        assert hides_main_pid(unit(**properties)) is guesses


def test_calls_that_a_filter_denies() -> None:
    assert denied_layout_calls(unit()) == ()
    assert denied_layout_calls(unit(SystemCallFilter="open read")) == ("ptrace",)
    assert denied_layout_calls(unit(SystemCallFilter="open ptrace read")) == ()
    assert denied_layout_calls(unit(SystemCallFilter="~ptrace:EPERM reboot")) == ("ptrace",)
    assert denied_layout_calls(unit(SystemCallFilter="~reboot")) == ()


def test_calls_that_a_filter_kills_at() -> None:
    allowed = "close execve openat prctl read uname"
    assert killing_calls(unit()) == ()
    assert killing_calls(unit(SystemCallFilter=allowed)) == ()
    assert killing_calls(unit(SystemCallFilter="close execve openat read")) == ("prctl", "uname")
    assert killing_calls(unit(SystemCallFilter="~prctl reboot")) == ("prctl",)
    assert killing_calls(unit(SystemCallFilter="~prctl:EPERM reboot")) == ()
    assert killing_calls(unit(SystemCallFilter=f"{allowed} reboot:kill")) == ()
    assert killing_calls(unit(SystemCallFilter="~prctl", SystemCallErrorNumber="1")) == ()
    assert killing_calls(unit(SystemCallFilter="~prctl:kill", SystemCallErrorNumber="1")) != ()
    assert killing_calls(unit(SystemCallFilter="~prctl", SystemCallErrorNumber=KILL)) != ()


def test_security_domains() -> None:
    assert domain_source(unit(), selinux=False) is None
    assert domain_source(unit(), selinux=True) == "SELinux"
    assert "game" in str(domain_source(unit(AppArmorProfile="game"), selinux=False))
    assert "x_t" in str(domain_source(unit(SELinuxContext="x_t"), selinux=False))


PATHS = st.text("abc/$%. \\\"'", min_size=1, max_size=12).map(lambda text: f"/{text}x")
OPTIONS = st.lists(st.sampled_from(["--merge=on", "--preload=/a/$PLATFORM/b%.so"]), max_size=2)


@given(PATHS, st.sampled_from(["", "-", ":", "+", "-:", "!!"]), OPTIONS)
def test_systemd_would_find_the_same_command(path: str, prefix: str, options: list[str]) -> None:
    """Parsed as systemd does, the drop-in's line has the original command behind the launcher."""
    quoted = path.replace("\\", "\\\\").replace('"', '\\"')
    text = render(unit(), Method.WRAPPER, [f'"{prefix}{quoted}" b %i $X'], options, None, "")
    line = text.splitlines()[-1].removeprefix("ExecStart=")
    (command,) = parse(line)
    assert command.prefixes == prefix
    assert command.path == str(LAUNCHER)
    words = f" {command.arguments}".split(" -- ", 1)[1]
    expected = simplified(path if ":" in prefix else path.replace("$", "$$"))
    assert unquote(words.removesuffix(" b %i $X")) == expected
    assert words.endswith(" b %i $X")


def test_a_drop_in_with_a_key() -> None:
    key = KeyPlace("games", user=False)
    text = render(unit(), Method.WRAPPER, ["/bin/a", "/bin/b"], ["--layout=shared"], key, "")
    assert text.startswith(HEADER_MARK)
    assert text.count("--layout-key=%d/ksmrun.layout -- ") == 2
    # Without its default a missing key would keep the service from starting (systemd.exec(5)).
    assert "\nSetCredential=ksmrun.layout:none\n" in text
    assert "\nWants=ksmrun-layout-key@games.service\n" in text
    assert written_fingerprint(text) == fingerprint(["/bin/a", "/bin/b"])
    own = render(unit(), Method.WRAPPER, ["/bin/a"], [], KeyPlace("games", user=True), "--user ")
    assert "LoadCredential" not in own
    assert "--layout-key=%t/ksmrun/layout/units/games.key" in own
    assert "ExecStart=/opt/ks%%run layout key %i" in key_unit("/opt/ks%run", key)


def test_a_drop_in_with_a_domain() -> None:
    """Root claims it, whoever the service runs as; without it the service starts unmerged."""
    options = ["--domain=web"]

    def settings(claim: DomainClaim, **properties: str) -> list[str]:
        service = unit(**properties)
        text = render(service, Method.WRAPPER, ["/bin/a"], options, None, "", claim)
        assert f"ExecStart={LAUNCHER} --domain=web -- /bin/a\n" in text
        return [line for line in text.splitlines() if line.startswith(("ExecStartPre", "Bind"))]

    claim = DomainClaim("web", "/opt/ks%run", is_required=False)
    assert settings(claim) == ["ExecStartPre=-+/opt/ks%%run trust claim web"]
    strict = replace(claim, is_required=True)
    assert settings(strict) == ["ExecStartPre=+/opt/ks%%run trust claim web"]
    # Who is not root cannot claim.
    assert settings(replace(claim, ksmrun=None)) == []
    # Nor does a command that sees the service's own /run.
    state = "BindReadOnlyPaths=-/run/ksmrun/trust"
    assert settings(strict, RootDirectory="/srv") == [f"BindReadOnlyPaths={LIBEXEC}", state]
    assert settings(strict, TemporaryFileSystem="/run:mode=700") == [state]


def test_a_container_of_quadlet_with_a_domain() -> None:
    claim = DomainClaim("web", "/bin/ksmrun", is_required=False)
    text = quadlet.render("a.container", None, "", require=False, claim=claim)
    container, service = text.split("[Service]\n")
    assert "Annotation=ksmrun.domain=web\n" in container
    assert service == "ExecStartPre=-+/bin/ksmrun trust claim web\n"
    own = replace(claim, ksmrun=None)
    text = quadlet.render("a.container", None, "--user ", require=False, claim=own)
    assert "Annotation=ksmrun.domain=web\n" in text and "ExecStartPre" not in text


def test_systemd_itself_sets_the_flag() -> None:
    text = render(unit(), Method.MEMORY_KSM, ["/bin/a"], [], None, "")
    assert text.endswith("[Service]\nMemoryKSM=yes\n")


def test_what_the_service_must_see() -> None:
    assert visibility(unit()) == []
    bound = [f"BindReadOnlyPaths={LIBEXEC}"]
    assert visibility(unit(RootDirectory="/srv/root")) == bound
    assert visibility(unit(TemporaryFileSystem="/usr/local:ro")) == bound
    # Nothing can be mounted below such a path.
    assert is_inaccessible(unit(InaccessiblePaths="-/usr/local/libexec"))
    assert not is_inaccessible(unit(InaccessiblePaths="/usr/local/lib /home"))
    assert visibility(unit(TemporaryFileSystem="/home /var")) == []
    assert visibility(unit(NoExecPaths="/")) == [f"ExecPaths={LIBEXEC}"]


def test_commands_without_the_launcher() -> None:
    plain = ExecCommand("/bin/a", ("/bin/a", "b"), ())
    launcher = str(LAUNCHER)
    wrapped = ExecCommand(launcher, (launcher, "--merge=on", "--", "/bin/a", "b"), ())
    assert unwrapped(wrapped) == unwrapped(plain) == plain
    named = ExecCommand("/bin/a", ("-a", "b"), ("ignore-failure",))
    argv = (launcher, "--argv0", "-a", "--", "/bin//a", "b")
    assert unwrapped(ExecCommand(launcher, argv, ("ignore-failure",))) == named
    dollar = ExecCommand(launcher, (launcher, "--", "/bin/$$a"), ())
    assert unwrapped(dollar) == ExecCommand("/bin/$a", ("/bin/$a",), ())


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.service.d/zz-ksmrun.conf"
    text = f"{HEADER_MARK}wrap unit a`: x.\n"
    write_ours(file, text)
    assert not is_foreign(file)
    write_ours(file, text + "again\n")
    assert file.read_text().endswith("again\n")
    assert remove_ours(file)
    assert not file.parent.exists()
    assert not remove_ours(file)
    file.parent.mkdir()
    file.write_text("[Service]\n")
    for change in (lambda: write_ours(file, text), lambda: remove_ours(file)):
        with pytest.raises(KsmrunError, match="was not written by ksmrun"):
            change()
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KsmrunError, match="was not written by ksmrun"):
        write_ours(file, text)


def test_a_folder_with_other_files_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.service.d/zz-ksmrun.conf"
    write_ours(file, f"{HEADER_MARK}`\n")
    (file.parent / "own.conf").touch()
    assert remove_ours(file)
    assert (file.parent / "own.conf").exists()


def test_all_that_starts_merged(tmp_path: Path) -> None:
    def add(name: str, text: str) -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    ours = f"{HEADER_MARK}wrap unit a`: x.\n# To remove it: sudo ksmrun wrap unit --remove a\n"
    add("etc/systemd/system/a.service.d/zz-ksmrun.conf", f"{ours}ExecStart={LAUNCHER} -- /bin/a")
    add("etc/systemd/system/b.service.d/zz-ksmrun.conf", f"{ours}MemoryKSM=yes\n")
    add("etc/systemd/system/c.service", f"[Service]\nExecStart={LAUNCHER} -- /bin/c\n")
    add("etc/systemd/system/d.service", "[Service]\nExecStart=/bin/d\n")
    add("etc/docker/daemon.json", f'{{"runtimes": {{"x": {{"path": "{LIBEXEC}/ksmrun-oci"}}}}}}')
    add("root/.config/systemd/user/e.service.d/zz-ksmrun.conf", f"{ours}BindPaths={LIBEXEC}\n")
    (tmp_path / "etc/systemd/system/dangling").symlink_to("nowhere")
    found = {wrap.name: wrap for wrap in find_wraps(tmp_path)}
    assert set(found) == {"a.service", "b.service", "c.service", "daemon.json", "e.service"}
    assert [name for name, wrap in found.items() if wrap.libexec is None] == ["b.service"]
    assert [name for name, wrap in found.items() if not wrap.ours] == ["daemon.json", "c.service"]
    assert found["a.service"].remove == "sudo ksmrun wrap unit --remove a"
    assert found["e.service"].kind == "user unit"


def test_processes_of_a_service(tmp_path: Path) -> None:
    groups = {
        1: "0::/system.slice/a.service/libpod-payload-1",
        2: "12:memory:/x\n1:name=systemd:/system.slice/a.service",
        3: "0::/system.slice/a.service2",
        4: "0::/",
    }
    for pid, text in groups.items():
        (tmp_path / f"proc/{pid}").mkdir(parents=True)
        (tmp_path / f"proc/{pid}/cgroup").write_text(text + "\n")
    assert members("/system.slice/a.service", tmp_path) == (1, 2)
    assert payload((1, 2), tmp_path) == (1,)
    assert payload((2, 4), tmp_path) == (2, 4)
