"""The fixed words of pages behind links in emails, in the language of the account's emails (Account.language).

An owner writes what their forms and emails say; these few sentences are nobody's to write. English where there is no
translation. Sentences avoid "du" and "Sie", "tu" and "vous", as readers are on such terms with the sender as we do not
know.
"""

from collections.abc import Mapping
from typing import NamedTuple

ENGLISH = "en"

CONFIRM: Mapping[str, Mapping[str, str]] = {
    "en": {
        "waiting_title": "Confirm your subscription",
        "waiting": "One click to go",
        "question": "Do you want emails from {sender} at {address}?",
        "yes": "Yes, subscribe me",
        "no": "If you did not ask for this, close this page, and nothing will be sent.",
        "confirmed": "You are subscribed",
        "is_confirmed": "{address} is confirmed.",
        "close": "You can close this page.",
        "replaced": "There is a newer mail",
        "use_newest": "You have signed up once more since. Use the link in the newest mail from {sender}.",
        "lapsed": "This link has lapsed",
        "sign_up_again": "It works for 30 days, and only for the address that the mail went to. Sign up once more where"
        " you did before, and you get a new one.",
        "out": "Not subscribed",
        "gets_none": "{address} gets no emails from {sender} any more, and this link cannot change that. To get them"
        " again, sign up where you did before.",
    },
    "de": {
        "waiting_title": "Anmeldung bestätigen",
        "waiting": "Nur noch ein Klick",
        "question": "Sollen E-Mails von {sender} an {address} gehen?",
        "yes": "Ja, bitte anmelden",
        "no": "Das war jemand anderes? Dann einfach diese Seite schließen: Es wird nichts gesendet.",
        "confirmed": "Die Anmeldung ist bestätigt",
        "is_confirmed": "{address} ist bestätigt.",
        "close": "Diese Seite kann geschlossen werden.",
        "replaced": "Es gibt eine neuere E-Mail",
        "use_newest": "Seitdem kam eine weitere Anmeldung. Es gilt der Link in der neuesten E-Mail von {sender}.",
        "lapsed": "Dieser Link ist abgelaufen",
        "sign_up_again": "Er gilt 30 Tage und nur für die Adresse, an die die E-Mail ging. Nach einer neuen Anmeldung"
        " an derselben Stelle kommt ein neuer.",
        "out": "Nicht angemeldet",
        "gets_none": "{address} bekommt keine E-Mails mehr von {sender}, und dieser Link ändert daran nichts. Eine neue"
        " Anmeldung ist an derselben Stelle möglich wie zuvor.",
    },
    "fr": {
        "waiting_title": "Confirmer l’inscription",
        "waiting": "Plus qu’un clic",
        "question": "Envoyer les e-mails de {sender} à {address} ?",
        "yes": "Oui, m’inscrire",
        "no": "Ce n’était pas voulu ? Il suffit de fermer cette page : rien ne sera envoyé.",
        "confirmed": "L’inscription est confirmée",
        "is_confirmed": "{address} est confirmée.",
        "close": "Cette page peut être fermée.",
        "replaced": "Il y a un e-mail plus récent",
        "use_newest": "Il y a eu une autre inscription depuis : c’est le lien du dernier e-mail de {sender} qui vaut.",
        "lapsed": "Ce lien a expiré",
        "sign_up_again": "Il est valable 30 jours, et seulement pour l’adresse à laquelle l’e-mail a été envoyé. Une"
        " nouvelle inscription au même endroit en donne un nouveau.",
        "out": "Pas d’inscription",
        "gets_none": "{address} ne reçoit plus d’e-mails de {sender}, et ce lien n’y change rien. Une nouvelle"
        " inscription est possible au même endroit qu’avant.",
    },
    "es": {
        "waiting_title": "Confirmar la suscripción",
        "waiting": "Falta un clic",
        "question": "¿Enviar los correos de {sender} a {address}?",
        "yes": "Sí, quiero suscribirme",
        "no": "¿No era la intención? Basta con cerrar esta página: no se enviará nada.",
        "confirmed": "La suscripción está confirmada",
        "is_confirmed": "{address} está confirmada.",
        "close": "Ya se puede cerrar esta página.",
        "replaced": "Hay un correo más reciente",
        "use_newest": "Desde entonces hubo otra suscripción. Vale el enlace del último correo de {sender}.",
        "lapsed": "Este enlace ha caducado",
        "sign_up_again": "Vale durante 30 días y solo para la dirección a la que se envió el correo. Con una nueva"
        " suscripción en el mismo lugar llega otro.",
        "out": "Sin suscripción",
        "gets_none": "{address} ya no recibe correos de {sender}, y este enlace no lo cambia. Es posible volver a"
        " suscribirse en el mismo lugar que antes.",
    },
    "it": {
        "waiting_title": "Confermare l’iscrizione",
        "waiting": "Manca solo un clic",
        "question": "Inviare le email di {sender} a {address}?",
        "yes": "Sì, voglio iscrivermi",
        "no": "Non era voluto? Basta chiudere questa pagina: non verrà inviato nulla.",
        "confirmed": "L’iscrizione è confermata",
        "is_confirmed": "{address} è confermato.",
        "close": "Questa pagina si può chiudere.",
        "replaced": "C’è un’email più recente",
        "use_newest": "Nel frattempo c’è stata un’altra iscrizione. Vale il link nell’ultima email di {sender}.",
        "lapsed": "Questo link è scaduto",
        "sign_up_again": "Vale 30 giorni e solo per l’indirizzo a cui è stata inviata l’email. Con una nuova iscrizione"
        " nello stesso posto ne arriva un altro.",
        "out": "Nessuna iscrizione",
        "gets_none": "{address} non riceve più email da {sender}, e questo link non lo cambia. Ci si può iscrivere di"
        " nuovo nello stesso posto di prima.",
    },
    "nl": {
        "waiting_title": "Aanmelding bevestigen",
        "waiting": "Nog één klik",
        "question": "E-mails van {sender} naar {address} sturen?",
        "yes": "Ja, meld mij aan",
        "no": "Niet de bedoeling? Sluit dan deze pagina: er wordt niets verstuurd.",
        "confirmed": "De aanmelding is bevestigd",
        "is_confirmed": "{address} is bevestigd.",
        "close": "Deze pagina kan worden gesloten.",
        "replaced": "Er is een nieuwere e-mail",
        "use_newest": "Sindsdien was er nog een aanmelding. De link in de nieuwste e-mail van {sender} geldt.",
        "lapsed": "Deze link is verlopen",
        "sign_up_again": "Hij geldt 30 dagen, en alleen voor het adres waar de e-mail naartoe ging. Na een nieuwe"
        " aanmelding op dezelfde plek komt er een nieuwe.",
        "out": "Niet aangemeld",
        "gets_none": "{address} krijgt geen e-mails meer van {sender}, en deze link verandert daar niets aan. Opnieuw"
        " aanmelden kan op dezelfde plek als eerst.",
    },
    "pt": {
        "waiting_title": "Confirmar a inscrição",
        "waiting": "Só falta um clique",
        "question": "Enviar os e-mails de {sender} para {address}?",
        "yes": "Sim, quero inscrever-me",
        "no": "Não era essa a intenção? Basta fechar esta página: nada será enviado.",
        "confirmed": "A inscrição está confirmada",
        "is_confirmed": "{address} está confirmado.",
        "close": "Esta página já pode ser fechada.",
        "replaced": "Há um e-mail mais recente",
        "use_newest": "Houve entretanto outra inscrição. Vale o link do e-mail mais recente de {sender}.",
        "lapsed": "Este link expirou",
        "sign_up_again": "Vale por 30 dias e só para o endereço a que o e-mail foi enviado. Com uma nova inscrição no"
        " mesmo lugar chega outro.",
        "out": "Sem inscrição",
        "gets_none": "{address} já não recebe e-mails de {sender}, e este link não muda isso. É possível fazer nova"
        " inscrição no mesmo lugar de antes.",
    },
}  # fmt: skip


class Sayings(NamedTuple):
    language: str  # that the words are in
    words: Mapping[str, str]


def confirm(language: str) -> Sayings:
    """language   a tag, such as de-AT; "" is English"""
    primary = language.partition("-")[0].lower()
    return Sayings(primary, CONFIRM[primary]) if primary in CONFIRM else Sayings(ENGLISH, CONFIRM[ENGLISH])
