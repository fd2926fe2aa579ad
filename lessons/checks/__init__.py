"""How each exercise is judged: probe, reference, known slips, hints."""
