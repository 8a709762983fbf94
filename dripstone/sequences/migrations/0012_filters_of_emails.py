from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("sequences", "0011_emails_on_hold"),
    ]

    operations = [
        migrations.AddField(
            model_name='sequenceemail',
            name='filter',
            field=models.JSONField(null=True),
        ),
        migrations.AlterField(
            model_name='sequenceedit',
            name='kind',
            field=models.TextField(blank=True, choices=[('email_created', 'Email Created'), ('email_updated', 'Email Updated'), ('email_deleted', 'Email Deleted'), ('email_retimed', 'Email Retimed'), ('sequence_updated', 'Sequence Updated'), ('sequence_deleted', 'Sequence Deleted'), ('sequence_retimed', 'Sequence Retimed'), ('rescheduled', 'Rescheduled'), ('wait_skipped', 'Wait Skipped'), ('email_filtered', 'Email Filtered')], db_default='', default=''),
        ),
    ]
