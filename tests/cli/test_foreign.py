"""Publishing, finding and fetching against a registry, repository and source of somebody else, by URLs alone."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import tests.foreign
from tests.cli.test_commands import done, failed, settings
from tests.cli.test_fetching import images
from tests.foreign import LOCATION, REPOSITORY, foreign_domain
from tests.imaging import STUDIES
from tests.transport.test_rest import kept
from tests.trusted import CT, DOE


def test_the_peer_has_nothing_of_this_product() -> None:
    tree = ast.parse(Path(tests.foreign.__file__).read_text())
    named = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert named - set(sys.stdlib_module_names) == {"lxml"}


def test_a_study_is_published_found_and_fetched_elsewhere(tmp_path: Path) -> None:
    with foreign_domain(STUDIES) as foreign:
        file = settings(
            tmp_path,
            f"[domain]\npatient_id_authority = '2.999.1.5'\n"
            f"[imaging_source]\npacs = 'folder:{STUDIES}'\nrepository_url = '{foreign.url}/any/repository'\n"
            f"repository_unique_id = '{REPOSITORY}'\nretrieve_location_uid = '{LOCATION}'\n"
            f"[consumer]\nregistry_url = '{foreign.url}/any/registry'\n"
            f"[consumer.repositories]\n'{REPOSITORY}' = '{foreign.url}/any/repository'\n"
            f"[consumer.sources]\n'{LOCATION}' = '{foreign.url}/any/source'\n",
        )
        (published,) = done("publish", CT, config=file)
        assert (published["result"], published["instances"]) == ("published", 4)
        (found,) = done("find", DOE, config=file)
        assert (found["uniqueId"], found["repositoryUniqueId"]) == (published["document"], REPOSITORY)
        items = done("fetch", found["entryUUID"], "--out", tmp_path / "out", config=file)
        assert images(items) == kept(CT)
        assert {action.rpartition(":")[2] for action in foreign.actions} == {
            "ProvideAndRegisterDocumentSet-b", "RegistryStoredQuery", "RetrieveDocumentSet",
            "RetrieveImagingDocumentSet",
        }  # fmt: skip
        foreign.images = tmp_path / "nothing"
        foreign.images.mkdir()
        again = failed("fetch", found["entryUUID"], "--out", tmp_path / "again", config=file)
        assert again == "4 images of those listed did not arrive"
