"""What an assertion or an access token has to hold, by country: attributes for which role and purpose, code systems.

ITI TF-2 3.40.4.1.2 (XUA); Switzerland: EPR ordinance annex 5, national extensions (XUA); France: VIHF 3.0 as DMP and
DRIMbox use it. For Belgium and Luxembourg no public source tells of attributes beyond XUA: theirs are the generic ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsi.spec import xacml


@dataclass(frozen=True, slots=True)
class TokenRule:
    """Attributes that are needed with one of some roles or purposes."""

    attributes: frozenset[str]
    roles: frozenset[tuple[str, str]] = frozenset()
    """(code, scheme); empty: whatever the role"""
    purposes: frozenset[tuple[str, str]] = frozenset()
    """likewise"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """The rules of one country."""

    required: frozenset[str]
    """always"""
    role_schemes: frozenset[str] = frozenset()
    purpose_schemes: frozenset[str] = frozenset()
    """accepted code systems; empty: any"""
    further: tuple[TokenRule, ...] = ()


_XUA = frozenset(
    {xacml.SUBJECT_NAME, xacml.ORGANIZATION, xacml.ORGANIZATION_ID, xacml.ROLE, xacml.PURPOSE_OF_USE}
)  # fmt: skip
_GENERIC = TokenRules(required=_XUA)

_CH_ROLE, _CH_PURPOSE = "2.16.756.5.30.1.127.3.10.6", "2.16.756.5.30.1.127.3.10.5"
_SWITZERLAND = TokenRules(
    required=_XUA | {xacml.SUBJECT_PATIENT},
    role_schemes=frozenset({_CH_ROLE}),
    purpose_schemes=frozenset({_CH_PURPOSE}),
    further=(
        # An assistant acts for a professional, whom the assertion names.
        TokenRule(
            frozenset({"urn:e-health-suisse:principal-id", "urn:e-health-suisse:principal-name"}),
            roles=frozenset({("ASS", _CH_ROLE)}),
        ),
    ),
)

_FRANCE = TokenRules(
    required=_XUA
    | {
        xacml.SUBJECT_PATIENT,
        "VIHF_Version",
        "Identifiant_Structure",
        "Secteur_Activite",
        "Ressource_URN",
        "LPS_ID",
        "LPS_Nom",
        "LPS_Version",
        "LPS_ID_HOMOLOGATION_DMP",
        "Authentification_Mode",
    },
    role_schemes=frozenset({"1.2.250.1.71.1.2.7", "1.2.250.1.71.4.2.5"}),
    purpose_schemes=frozenset({"1.2.250.1.213.1.1.4.248"}),
)

PROFILES: dict[str, TokenRules] = {
    "generic": _GENERIC,
    "belgium": _GENERIC,
    "luxembourg": _GENERIC,
    "france": _FRANCE,
    "switzerland": _SWITZERLAND,
}
