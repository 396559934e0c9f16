"""A folder with all files that the commands in help texts and documentation use."""

import shutil
from pathlib import Path

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

import skldos
from skldos.datasets import make_snapshots
from skldos.io import write_mala

IO_DATA = Path(__file__).parents[1] / "io" / "data"
UPF = """<PP_HEADER>
   0  Version Number
  {element}  Element
   NC  Norm - Conserving pseudopotential
    F  Nonlinear Core Correction
 SLA PZ NOGX NOGC  PZ Exchange-Corr
    3.00000000000  Z valence
   -4.18372140000  Total energy
  0.0000000  0.0000000  Suggested cutoff for wfc and rho
    1  Max angular momentum component
    2  Number of points in mesh
    2  2  Number of Wavefunctions, Number of Projectors
</PP_HEADER>
<PP_MESH>
<PP_R> 0.1 0.2 </PP_R>
<PP_RAB> 0.1 0.1 </PP_RAB>
</PP_MESH>
<PP_RHOATOM> 0.1 0.1 </PP_RHOATOM>
"""
TINY = {"grid_shape": (4, 4, 4), "n_energies": 21}
PIPELINE = """
[[steps]]
type = "AtomSNAPTransformer"
twojmax = 2

[[steps]]
type = "ADOSRegressor"
regressor = { type = "SiteRegressor", regressor = { type = "sklearn.linear_model.Ridge" } }
"""


@pytest.fixture(scope="session")
def tiny():
    """Six snapshots of 64 grid points at two temperatures."""
    cold = make_snapshots(3, random_state=0, **TINY)
    return cold + make_snapshots(3, displacement=0.2, temperature=933.0, random_state=1, **TINY)


def frames(n):
    """Return cells of aluminium with energies and forces of EMT."""
    images = []
    for seed in range(n):
        atoms = bulk("Al", cubic=True)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        images.append(atoms)
    return images


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, tiny):
    """Return a folder with data, structures and fitted models; copy it, do not write to it."""
    folder = tmp_path_factory.mktemp("prepared")
    for name, part in (("snapshots", tiny), ("training", tiny), ("test", tiny[4:])):
        part.save(folder / name)
    (folder / "test-snapshots").symlink_to("test")
    shutil.copytree(IO_DATA / "al2", folder / "runs")
    (folder / "mala").mkdir()
    for i, snapshot in enumerate(make_snapshots(2, n_energies=11, random_state=0)):
        write_mala(snapshot, folder / "mala" / f"Al_{i}")
    images = frames(5)
    write(folder / "dynamics.extxyz", images)
    write(folder / "dynamics.traj", images[:2])
    skldos.SnapshotList(images[:2]).save(folder / "bare")
    perfect = bulk("Al", cubic=True)
    for name in ("POSCAR", "cell.cif", "start.xyz"):
        write(folder / name, perfect, format="extxyz" if name.endswith("xyz") else None)
    for name in ("Al.upf", "Al.pz-vbc.UPF"):
        (folder / name).write_text(UPF.format(element="Al"))
    (folder / "pipeline.toml").write_text(PIPELINE)
    for name, model in models(tiny, images).items():
        skldos.save(model, folder / f"{name}.skldos")
    return folder


def models(tiny, images):
    """Return tiny models by their names on the command line."""
    from sklearn.pipeline import make_pipeline

    from skldos import AtomSNAPTransformer, FreeEnergyRegressor

    return {
        "model": skldos.models.grid(
            twojmax=2, hidden_layer_sizes=(8,), max_epochs=20, random_state=0
        ).fit(tiny[:3]),
        "atoms": skldos.models.atoms(n_max=3, l_max=2).fit(tiny[:3]),
        "potential": make_pipeline(AtomSNAPTransformer(twojmax=4), FreeEnergyRegressor()).fit(
            [skldos.Snapshot(atoms, temperature=300.0) for atoms in images]
        ),
    }


@pytest.fixture
def upf_text():
    """Return the text of a pseudopotential file, with a placeholder for the element."""
    return UPF


@pytest.fixture
def place(prepared, tmp_path, monkeypatch):
    """Return a copy of the folder as the working directory."""
    folder = tmp_path / "place"
    shutil.copytree(prepared, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder
