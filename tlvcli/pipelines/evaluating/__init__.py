"""What `tlv eval` is made of: classes matched, images scored, measures, gates, files."""
