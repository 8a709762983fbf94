// A new account is probably in the zone of the browser it is made in. Without this one chooses from the list.

const zones = document.getElementById("f-time_zone");
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zones?.value === "UTC" && [...zones.options].some((option) => option.value === own)) zones.value = own;
