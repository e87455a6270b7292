"""Image sets out of Git repositories: plain files, DVC's, archives; pinned; what is refused, in one line."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dvc.repo.open_repo
import pytest
import yaml
from documented import shell_commands

from fakeface.base.errors import FakefaceError
from fakeface.data import repositories
from fakeface.data.archives import ArchiveError, open_archive
from fakeface.data.repositories import RepositoryError, fetch_set
from fakeface.params import RepositoryParams

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT / "src"),
    "DVC_NO_ANALYTICS": "1",
    **{
        f"GIT_{who}_{what}": "test@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}


def run(folder: Path, *command: str, expect: int = 0) -> str:
    result = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    output = result.stdout + result.stderr
    assert result.returncode == expect, f"{' '.join(command)}: exit {result.returncode}\n{output}"
    return output.strip()


def commit(folder: Path, tag: str = "") -> str:
    """Hash of a commit of all that is in ``folder``."""
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", "pictures")
    if tag:
        run(folder, "git", "tag", "-a", tag, "-m", tag)
    return run(folder, "git", "rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path, photograph_folder: Path) -> Path:
    """A Git repository with ten pictures below faces/real, a zip and a tar of them; tag v1."""
    folder = tmp_path / "origin"
    (folder / "faces/real/more").mkdir(parents=True)
    run(folder, "git", "init", "-q", "-b", "main")
    pictures = sorted(photograph_folder.iterdir())[:10]
    for number, picture in enumerate(pictures):
        shutil.copy(picture, folder / "faces/real" / ("more" if number > 7 else "") / picture.name)
    (folder / "faces/real/.hidden.jpg").write_bytes(pictures[0].read_bytes())
    for kind in ("zip", "gztar"):
        shutil.make_archive(str(folder / "packed"), kind, folder / "faces/real")
    (folder / "text").mkdir()
    (folder / "text/a.txt").write_text("no picture")
    commit(folder, "v1")
    return folder


Entry = Callable[..., RepositoryParams]


@pytest.fixture
def entry(origin: Path) -> Entry:
    def make(**changes: str) -> RepositoryParams:
        return RepositoryParams(**({"repo": str(origin), "rev": "v1", "path": "faces/real"} | changes))

    return make


def names(path: Path) -> tuple[str, ...]:
    with open_archive(path) as archive:
        return archive.names


def test_a_folder_a_zip_and_a_tar_give_the_same_bytes(tmp_path: Path, origin: Path, entry: Entry) -> None:
    pinned = run(origin, "git", "rev-parse", "v1^{commit}")
    made = set()
    for path in ("faces/real", "faces/real/", "packed.zip", "packed.tar.gz"):
        facts = fetch_set("mine", entry(path=path), tmp_path / "out.zip")
        assert facts["commit"] == pinned
        assert facts["n_photographs"] == 10
        made.add((tmp_path / "out.zip").read_bytes())
    assert len(made) == 1
    assert names(tmp_path / "out.zip")[-2:] == ("more/000009.jpg", "more/000010.jpg")
    with open_archive(tmp_path / "out.zip") as archive:
        assert archive.read("000001.jpg") == (origin / "faces/real/000001.jpg").read_bytes()


def test_a_later_commit_changes_nothing_for_who_pinned(tmp_path: Path, origin: Path, entry: Entry) -> None:
    first = run(origin, "git", "rev-parse", "HEAD")
    (origin / "faces/real/000001.jpg").unlink()
    second = commit(origin)
    for rev, count in ((first, 10), (first.upper(), 10), ("v1", 10), (second, 9)):
        # By its address a repository is cloned, as one elsewhere is.
        for repo in (str(origin), f"file://{origin}"):
            facts = fetch_set("mine", entry(rev=rev, repo=repo), tmp_path / "out.zip")
            assert facts["n_photographs"] == count
            assert facts["commit"] == (second if count == 9 else first)


@pytest.fixture
def dvc_origin(origin: Path, tmp_path: Path) -> Path:
    """The same repository, its pictures tracked by DVC and pushed to a remote in a folder; tag v2."""
    run(origin, "git", "rm", "-q", "-r", "--cached", "faces")
    run(origin, "dvc", "init", "-q")
    run(origin, "dvc", "remote", "add", "-q", "--default", "store", str(tmp_path / "store"))
    run(origin, "git", "rm", "-q", "--cached", "packed.zip")
    run(origin, "dvc", "add", "-q", "faces/real", "packed.zip")
    run(origin, "dvc", "push", "-q")
    commit(origin, "v2")
    return origin


@pytest.mark.slow
def test_pictures_that_dvc_tracks(tmp_path: Path, dvc_origin: Path, entry: Entry) -> None:
    fetch_set("plain", entry(), tmp_path / "plain.zip")
    for repo in (str(dvc_origin), f"file://{dvc_origin}"):
        for path, count in (("faces/real", 10), ("faces", 10), ("faces/real/more", 2), ("packed.zip", 10)):
            facts = fetch_set("mine", entry(repo=repo, rev="v2", path=path), tmp_path / "out.zip")
            assert facts["n_photographs"] == count
            if path in ("faces/real", "packed.zip"):
                assert (tmp_path / "out.zip").read_bytes() == (tmp_path / "plain.zip").read_bytes()
    # One picture is another in the remote, then none, then the list is gone, then everything.
    address = entry(repo=f"file://{dvc_origin}", rev="v2")
    tracked = yaml.safe_load((dvc_origin / "faces/real.dvc").read_text())["outs"][0]["md5"]
    objects = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    listing = next(path for path in objects if path.name.endswith(".dir"))
    assert tracked.endswith(".dir")
    picture = next(path for path in objects if path != listing and path.stat().st_size < 50_000)
    picture.chmod(0o644)
    picture.write_bytes(b"other bytes")
    with pytest.raises(
        RepositoryError, match=r"faces/real/.*jpg has MD5 \w{32} in the remote of DVC, expected \w"
    ):
        fetch_set("mine", address, tmp_path / "none.zip")
    picture.unlink()
    with pytest.raises(
        RepositoryError, match=r"repositories.mine: faces/real/.*jpg is tracked by DVC, and its"
    ):
        fetch_set("mine", address, tmp_path / "none.zip")
    listing.unlink()
    with pytest.raises(RepositoryError, match=r"repositories.mine: .*remote of DVC"):
        fetch_set("mine", address, tmp_path / "none.zip")
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(
        RepositoryError, match=r"packed.zip is tracked by DVC, and its remote does not give it"
    ):
        fetch_set(
            "mine", entry(repo=f"file://{dvc_origin}", rev="v2", path="packed.zip"), tmp_path / "none.zip"
        )
    assert not (tmp_path / "none.zip").exists()


@pytest.mark.slow
def test_a_dvc_repository_below_the_root_of_git(tmp_path: Path, origin: Path, entry: Entry) -> None:
    run(origin, "git", "rm", "-q", "-r", "--cached", "faces")
    run(origin / "faces", "dvc", "init", "-q", "--subdir")
    run(origin / "faces", "dvc", "remote", "add", "-q", "--default", "store", str(tmp_path / "store"))
    run(origin / "faces", "dvc", "add", "-q", "real")
    run(origin / "faces", "dvc", "push", "-q")
    rev = commit(origin)
    for repo in (str(origin), f"file://{origin}"):
        assert fetch_set("mine", entry(repo=repo, rev=rev), tmp_path / "out.zip")["n_photographs"] == 10


def test_the_whole_repository(tmp_path: Path, entry: Entry) -> None:
    fetch_set("mine", entry(path="."), tmp_path / "out.zip")
    assert names(tmp_path / "out.zip")[0] == "faces/real/000001.jpg"
    fetch_set("mine", entry(path="./faces"), tmp_path / "out.zip")
    assert names(tmp_path / "out.zip")[0] == "real/000001.jpg"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"repo": "/nowhere/at/all"},
            r"mine: /nowhere/at/all cannot be read at revision 'v1': No git repository was found at",
        ),
        (
            {"repo": "http://127.0.0.1:1/a.git"},
            r"mine: http://127.0.0.1:1/a.git cannot be read at revision 'v1': .*Connection refused$",
        ),
        (
            {"repo": "FOLDER"},
            r"repositories.mine.repo must be a Git repository, got the folder '.*photographs'",
        ),
        ({"rev": "v9"}, r"cannot be read at revision 'v9': .*v9"),
        ({"rev": "0" * 40}, r"cannot be read at revision '0{40}': "),
        (
            {"rev": "main"},
            r"mine.rev must be a commit's full hash or a tag, got 'main', which moves; today.*HASH$",
        ),
        (
            {"rev": "HEAD"},
            r"mine.rev must be a commit's full hash or a tag, got 'HEAD', which moves; today.*HASH$",
        ),
        ({"rev": "SHORT"}, r"mine.rev must be a commit's full hash or a tag, got '\w{8}', which.*HASH$"),
        (
            {"path": "faces/fake"},
            r"repositories.mine.path must be in .*origin at revision v1, got 'faces/fake'$",
        ),
        ({"path": "text"}, r"repositories.mine: holds no photographs, expected files named"),
        ({"path": "text/a.txt"}, r"repositories.mine: text/a.txt: not a readable folder, zip or tar"),
    ],
)
def test_what_cannot_be_fetched_is_said_in_one_line(
    tmp_path: Path, origin: Path, entry: Entry, changes: dict[str, str], message: str
) -> None:
    pinned = run(origin, "git", "rev-parse", "HEAD")
    words = {"SHORT": pinned[:8], "FOLDER": str(tmp_path / "photographs")}
    for repo in (str(origin), f"file://{origin}"):
        settings = entry(**{"repo": repo} | {key: words.get(value, value) for key, value in changes.items()})
        with pytest.raises(FakefaceError, match=message.replace("HASH", pinned)) as caught:
            fetch_set("mine", settings, tmp_path / "new/out.zip")
        assert len(str(caught.value).splitlines()) == 1
        assert str(tmp_path / "new") not in str(caught.value)
    assert not list((tmp_path / "new").glob("*"))


@pytest.mark.parametrize("link", ["faces/real/link.jpg", "faces/real/folder", "link.zip"])
def test_links_are_refused_wherever_they_point(tmp_path: Path, origin: Path, entry: Entry, link: str) -> None:
    (origin / link).symlink_to("/etc/passwd" if link.endswith("jpg") else "packed.zip")
    rev = commit(origin)
    path = link if link == "link.zip" else "faces/real"
    with pytest.raises(ArchiveError, match=rf"repositories.mine.* '?{Path(link).name}'? is a link, refused"):
        fetch_set("mine", entry(rev=rev, path=path), tmp_path / "out.zip")


def test_a_hostile_list_of_dvc_points_nowhere(tmp_path: Path, origin: Path, entry: Entry) -> None:
    run(origin, "dvc", "init", "-q")
    store = origin / ".dvc/cache/files/md5/00/112233445566778899aabbccddeeff.dir"
    store.parent.mkdir(parents=True)
    store.write_text(json.dumps([{"md5": "0" * 32, "relpath": "../../../evil.jpg"}]))
    out = {"md5": "00112233445566778899aabbccddeeff.dir", "path": "hostile", "hash": "md5"}
    (origin / "hostile.dvc").write_text(yaml.safe_dump({"outs": [out]}))
    with pytest.raises(FakefaceError, match=r"repositories.mine"):
        fetch_set("mine", entry(rev=commit(origin), path="hostile"), tmp_path / "out.zip")
    assert not list(tmp_path.rglob("evil.jpg"))


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 123\n".format("0" * 64)


@pytest.mark.parametrize("name", ["faces/lfs/a.jpg", "lfs.zip"])
@pytest.mark.parametrize("attributes", [True, False])
def test_a_pointer_of_git_lfs_is_no_picture(
    tmp_path: Path, origin: Path, entry: Entry, name: str, attributes: bool
) -> None:
    if attributes:
        (origin / ".gitattributes").write_text("*.zip filter=lfs\n*.jpg filter=lfs\n")
        run(origin, "git", "config", "filter.lfs.clean", "cat")
    (origin / name).parent.mkdir(exist_ok=True)
    (origin / name).write_text(POINTER)
    path = name if name.endswith("zip") else "faces/lfs"
    with pytest.raises(RepositoryError, match=r"(a.jpg|lfs.zip) is a pointer of Git LFS"):
        fetch_set("mine", entry(rev=commit(origin), path=path), tmp_path / "out.zip")


def test_nothing_stays_after_an_interruption(
    tmp_path: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(repositories, "_refuse_pointer", interrupted)
    for path in ("faces/real", "packed.zip"):
        with pytest.raises(KeyboardInterrupt):
            fetch_set("mine", entry(path=path), tmp_path / "new/out.zip")
    assert not list((tmp_path / "new").glob("*"))
    assert not list((tmp_path / "temporary").iterdir())
    assert not dvc.repo.open_repo.CLONES


def test_no_password_is_printed(tmp_path: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise RuntimeError("cannot read https://me:secret@example.org/a.git and ssh://git:secret@x/y")

    monkeypatch.setattr(repositories, "DVCFileSystem", refused)
    with pytest.raises(RepositoryError, match=r"https://\*\*\*@example.org/a.git and ssh://\*\*\*@x/y$"):
        fetch_set("mine", entry(), tmp_path / "out.zip")


@pytest.mark.slow
def test_the_pipeline_follows_the_revision(tmp_path: Path, origin: Path) -> None:
    """The real stages fetch and download, what follows them, and what another `rev` makes stale."""
    project = tmp_path / "project"
    for name in ("src", "pipeline", "profiles", "models/extractors"):
        shutil.copytree(
            ROOT / name, project / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "dvc.yaml", project)
    run(project, "git", "init", "-q")
    run(project, "dvc", "init", "-q")
    page = ROOT / "docs" / "portraits.md"
    (documented,) = [command for command in shell_commands(page) if "repositories." in command]
    # In the example's order: photographs in a folder, fakes in a zip. And a set on which nothing may train.
    (origin / "faces/stylegan.zip").write_bytes((origin / "packed.zip").read_bytes())
    commit(origin)
    run(origin, "git", "tag", "-f", "v1")
    other = {"repo": str(origin), "rev": "v1", "path": "packed.tar.gz"}
    external = "external.sets={path: data/fetched/other.zip, kind: fake}"
    example = shlex.split(documented.replace("https://example.org/faces.git", str(origin)))
    run(project, *example, f"repositories.other={json.dumps(other)}", external)
    for stage, first in (
        ("download", "photographs"),
        ("generate@stylegan", "stylegan"),
        ("external_scores@sets", "other"),
    ):
        assert f"fetch@{first}" in run(project, "dvc", "dag", stage)
    output = run(project, "dvc", "repro", "download", "fetch@stylegan")
    assert "photographs: 10 photographs, faces/real of" in output
    assert len(names(project / "data/raw/images.zip")) == 10
    assert json.loads((project / "reports/fetched/photographs.json").read_text())["rev"] == "v1"
    targets = ("fetch@photographs", "fetch@stylegan", "download")
    assert json.loads(run(project, "dvc", "status", "--json", *targets)) == {}

    (origin / "faces/real/000001.jpg").unlink()
    run(project, "sed", "-i", f"s/rev: v1, path: faces/rev: {commit(origin)}, path: faces/", "params.yaml")
    assert list(json.loads(run(project, "dvc", "status", "--json", *targets))) == ["fetch@photographs"]
    output = run(project, "dvc", "repro", "download")
    assert "Running stage 'download'" in output
    assert len(names(project / "data/raw/images.zip")) == 9
