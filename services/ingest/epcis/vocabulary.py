"""The words of GS1's Core Business Vocabulary, whose short names, CURIEs, web URIs and URNs are one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.ingest.epcis.formats import is_uri

_CBV: Final = "https://ref.gs1.org/cbv/"
_VOC: Final = "https://ref.gs1.org/voc/"
_OLD_CBV: Final = "urn:epcglobal:cbv:"  # how EPCIS 1.x wrote the words
# No word of somebody else's may begin so.
_RESERVED_CBV: Final = ("urn:epcglobal:cbv", "https://ns.gs1.org/cbv/", "http://ns.gs1.org/cbv/")
_RESERVED_VOC: Final = tuple(
    f"{scheme}://{host}/voc/" for scheme in ("https", "http") for host in ("gs1.org", "www.gs1.org")
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """One list of words. `web` begins the web URI of a word; `others` begin its other forms."""

    name: str
    web: str
    others: tuple[str, ...]
    reserved: tuple[str, ...]
    words: frozenset[str]


def _cbv(name: str, web: str, urn: str, words: str) -> Vocabulary:
    others = (f"cbv:{web}", f"http://ref.gs1.org/cbv/{web}", f"{_OLD_CBV}{urn}:")
    return Vocabulary(name, _CBV + web, others, _RESERVED_CBV, frozenset(words.split()))


def _voc(name: str, words: str) -> Vocabulary:
    return Vocabulary(name, _VOC, ("gs1:", *_RESERVED_VOC), _RESERVED_VOC, frozenset(words.split()))


BIZ_STEP: Final = _cbv(
    "bizStep",
    "BizStep-",
    "bizstep",
    "accepting arriving assembling collecting commissioning consigning creating_class_instance cycle_counting "
    "decommissioning departing destroying disassembling dispensing encoding entering_exiting holding inspecting "
    "installing killing loading other packing picking receiving removing repackaging repairing replacing reserving "
    "retail_selling sampling sensor_reporting shipping staging_outbound stock_taking stocking storing transporting "
    "unloading unpacking void_shipping",
)
DISPOSITION: Final = _cbv(
    "disposition",
    "Disp-",
    "disp",
    "active available completeness_inferred completeness_verified conformant container_closed container_open damaged "
    "destroyed dispensed disposed encoded expired in_progress in_transit inactive mismatch_class mismatch_instance "
    "mismatch_quantity needs_replacement no_pedigree_match non_conformant non_sellable_other partially_dispensed "
    "recalled reserved retail_sold returned sellable_accessible sellable_not_accessible stolen unavailable unknown",
)
TRANSACTION: Final = _cbv(
    "business transaction type",
    "BTT-",
    "btt",
    "bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt",
)
PARTY: Final = _cbv("source or destination type", "SDT-", "sdt", "location owning_party possessing_party")
ERROR_REASON: Final = _cbv("error reason", "ER-", "er", "did_not_occur incorrect_data")
COMPONENT: Final = _cbv(
    "component",
    "Comp-",
    "comp",
    "altitude axial_distance azimuth easting elevation_angle height latitude longitude northing polar_angle "
    "spherical_radius x y z",
)
MEASUREMENT: Final = _voc(
    "measurement type",
    "AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Altitude AmountOfSubstance "
    "AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity Area Capacitance "
    "Conductance Conductivity Count Density Dimensionless DoseEquivalent DoseEquivalentRate DynamicViscosity "
    "ElectricCharge ElectricCurrent ElectricCurrentDensity ElectricFieldStrength Energy Exposure Force Frequency "
    "Illuminance Inductance Irradiance KinematicViscosity Length LinearMomentum Luminance LuminousFlux "
    "LuminousIntensity MagneticFlux MagneticFluxDensity MagneticVectorPotential Mass MassConcentration MassFlowRate "
    "MassPerAreaTime MemoryCapacity MolalityOfSolute MolarEnergy MolarMass MolarVolume Power Pressure RadiantFlux "
    "RadiantIntensity Radioactivity RelativeHumidity Resistance Resistivity SolidAngle SpecificVolume Speed "
    "SurfaceDensity SurfaceTension Temperature Time Torque Voltage Volume VolumeFlowRate VolumeFraction "
    "VolumetricFlux Wavenumber",
)
ALERT: Final = _voc("sensor alert type", "ALARM_CONDITION ERROR_CONDITION")
CBV: Final = (BIZ_STEP, DISPOSITION, TRANSACTION, PARTY, ERROR_REASON, COMPONENT)


def short(vocabulary: Vocabulary, value: str) -> str:
    """The short name of a word of the vocabulary in any of its forms; any other value as it is."""
    for beginning in (vocabulary.web, *vocabulary.others):
        if value.startswith(beginning) and value.removeprefix(beginning) in vocabulary.words:
            return value.removeprefix(beginning)
    return value


def web_uri(vocabulary: Vocabulary, value: str) -> str:
    """The web URI of a word of the vocabulary in any of its forms; any other value as it is."""
    word = short(vocabulary, value)
    return vocabulary.web + word if word in vocabulary.words else value


def is_term(vocabulary: Vocabulary, value: str) -> bool:
    """Whether the standard takes `value` here; beyond it, its words as EPCIS 1.x wrote them (urn:epcglobal:cbv:)."""
    old_form = value.startswith(_OLD_CBV) and short(vocabulary, value) in vocabulary.words
    return value in vocabulary.words or old_form or (is_uri(value) and not value.startswith(vocabulary.reserved))
