"""MammoGAN: can a GAN that inserts or removes cancer in a mammogram fool a classifier, and who would notice?"""

__version__ = "0.1.0"
