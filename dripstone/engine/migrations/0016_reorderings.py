"""Which places have seen the emails of their sequence change order: engine.models.Reordering.

The trigger runs when an owner edits emails, never when mail is sent. The edit holds its sequence locked, so that no
place comes in between the number and the edit it stands for.
"""

import django.db.models.deletion
from django.db import migrations, models

_TRIGGER = """
CREATE FUNCTION engine_note_reordering() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.position <> NEW.position OR EXISTS (
        SELECT FROM sequences_sequenceemail m
        WHERE m.sequence_id = NEW.sequence_id AND m.id <> NEW.id AND m.position >= NEW.position)
    THEN
        INSERT INTO engine_reordering (sequence_id, newest_place)
        SELECT NEW.sequence_id, last_value FROM engine_enrollment_id_seq
        ON CONFLICT (sequence_id) DO UPDATE SET newest_place = EXCLUDED.newest_place;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER reordered AFTER INSERT ON sequences_sequenceemail FOR EACH ROW
    WHEN (NEW.published AND NEW.deleted_at IS NULL)
    EXECUTE FUNCTION engine_note_reordering();

CREATE TRIGGER reordered_later AFTER UPDATE OF position, published, deleted_at ON sequences_sequenceemail FOR EACH ROW
    WHEN (OLD.position <> NEW.position
          OR NEW.published AND NEW.deleted_at IS NULL AND NOT (OLD.published AND OLD.deleted_at IS NULL))
    EXECUTE FUNCTION engine_note_reordering();
"""

# What happened before is not known: everybody who is in a sequence by now may have seen its emails change order.
_FILL = """
INSERT INTO engine_reordering (sequence_id, newest_place)
SELECT s.id, last_value FROM sequences_sequence s CROSS JOIN engine_enrollment_id_seq
ON CONFLICT (sequence_id) DO UPDATE SET newest_place = EXCLUDED.newest_place
"""


class Migration(migrations.Migration):
    dependencies = [("engine", "0015_indexes_of_broadcasts_and_notices"), ("sequences", "0005_when_published")]

    operations = [
        migrations.CreateModel(
            name="Reordering",
            fields=[
                (
                    "sequence",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="sequences.sequence",
                    ),
                ),
                ("newest_place", models.BigIntegerField()),
            ],
        ),
        migrations.RunSQL(_TRIGGER, "DROP FUNCTION engine_note_reordering() CASCADE"),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
    ]
