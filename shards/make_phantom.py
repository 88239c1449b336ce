"""Make a cohort of phantom mammograms: true DICOM files of nobody, with every lesion known."""

from mammogan.cli.make_phantom import main

if __name__ == "__main__":
    main()
