"""What pyproject.toml cannot say: folders beside the package travel inside it, as xdsi/resources/."""

from setuptools import find_packages, setup

BESIDE = {
    "xdsi.resources.schemas": "schemas",
    "xdsi.resources.wsdl": "wsdl",
    "xdsi.resources.conformance": "tests/conformance",
}

setup(
    packages=[*find_packages(include=["xdsi*"]), *BESIDE],
    package_dir=BESIDE,
)
