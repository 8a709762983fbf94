"""How texts are folded to be found: capitals, accents and punctuation do not count (postgresql/folded.py).

Two functions of the database, so that what is kept and what somebody types go through the same code. Their bodies are
SQL of the standard's form: they name nothing that a search path would have to find while a dump is restored.
"""

from django.db import migrations

# What separates words, as a class of PostgreSQL's regular expressions: blanks and punctuation. Named one by one, since
# what a class such as [:punct:] holds depends on the database. Compatibility forms (NFKD) are plain by then.
SEPARATORS = (
    r"[\s!-/:-@\[-`{-~\u00a1\u00ab\u00ad\u00b7\u00bb\u00bf\u200b-\u206f\u2e00-\u2e7f"
    r"\u3000-\u3003\u3008-\u301f\u30fb\ufeff]"
)

# Letters that have no decomposition, and one that has two small forms.
_LETTERS = "ıłøđðħŧς", "iloddhtσ"

# Without capitals and accents. Most texts are ASCII, where one call does it: 0.2 µs, else 5.
_FOLDED = f"""
CREATE FUNCTION dripstone_folded(given text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN octet_length(given) = length(given) THEN lower(given) ELSE
    replace(replace(replace(replace(translate(
        lower(regexp_replace(normalize(given, NFKD), '[\u0300-\u036f]', '', 'g')),
        '{_LETTERS[0]}', '{_LETTERS[1]}'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th') END;
"""

# The different words of a text: at most sixty, of at most sixty characters each, in no order.
_WORDS = f"""
CREATE FUNCTION dripstone_words(given text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(SELECT DISTINCT left(word, 60)
             FROM unnest(regexp_split_to_array(left(dripstone_folded(given), 2000), '{SEPARATORS}+')) word
             WHERE word <> '' LIMIT 60);
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0010_columns_of_people")]

    operations = [
        migrations.RunSQL(
            _FOLDED + _WORDS, "DROP FUNCTION dripstone_words(text); DROP FUNCTION dripstone_folded(text);"
        )
    ]
