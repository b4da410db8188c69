"""Robots in MuJoCo: locomotion with hidden goals, speeds or bodies, and block pushing."""
