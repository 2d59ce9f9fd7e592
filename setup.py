"""What pyproject.toml cannot say: folders beside the package travel inside it, as xdsi/resources/."""

from setuptools import find_packages, setup

BESIDE = {
    "xdsi.resources.schemas": "schemas",
    "xdsi.resources.wsdl": "wsdl",
    "xdsi.resources.conformance": "tests/conformance",
    # Folders that could be packages have to be named; those of the cases begin with a digit.
    "xdsi.resources.conformance.dicom": "tests/conformance/dicom",
    "xdsi.resources.conformance.shared": "tests/conformance/shared",
}

setup(
    packages=[*find_packages(include=["xdsi*"]), "xdsi.web.static", "xdsi.web.templates", *BESIDE],
    package_dir=BESIDE,
)
