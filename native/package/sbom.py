"""Lists of parts (SBOM) as CycloneDX JSON; the same parts give the same bytes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from parts import Part
from release import Release

# Names of documents: the same file of the same release gets the same number.
NAMESPACE = uuid.UUID("6f0c8f5e-3d0a-5f0e-9a53-6b5f5d1c2a10")


def document(subject: Part, parts: Iterable[Part], release: Release) -> str:
    """Return the list of a file's parts."""
    whole = _component(subject, ComponentType.APPLICATION)
    components = [_component(part, ComponentType.LIBRARY) for part in parts]
    known = f"{subject.name} {subject.url} {release.commit} {subject.sha256}"
    bom = Bom(
        components=components,
        serial_number=uuid.uuid5(NAMESPACE, known),
        metadata=BomMetaData(component=whole, timestamp=release.date),
    )
    bom.register_dependency(whole, components)
    text: str = JsonV1Dot6(bom).output_as_string(indent=1)
    return text + "\n"


def _component(part: Part, kind: ComponentType) -> Component:
    licences = [LicenseFactory().make_from_string(part.licence)] if part.licence else []
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=part.sha256)] if part.sha256 else []
    # Version ranges came with CycloneDX 1.7.
    properties = [Property(name="ksmrun:versions", value=part.versions)] if part.versions else []
    return Component(
        name=part.name,
        version=part.version,
        type=kind,
        bom_ref=str(part.url or part.name),
        purl=part.url,
        licenses=licences,
        hashes=hashes,
        properties=properties,
        scope=ComponentScope.OPTIONAL if part.is_optional else ComponentScope.REQUIRED,
    )
