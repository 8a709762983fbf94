"""A small copy of each picture, made when somebody first looks at the list."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("images", "0001_images")]

    operations = [migrations.AddField("image", "small", models.BinaryField(null=True))]
