#include "services/media/config/sections.h"

#include "services/media/auth.h"
#include "services/media/config/desired.h"

bool gtv_sections_check(const struct gtv_yaml *yaml, struct gtv_error *err)
{
    struct gtv_auth *auth = gtv_auth_create();
    struct gtv_desired *desired = gtv_desired_create();
    bool ok =
        gtv_auth_configure(auth, gtv_yaml_get(yaml, "authInternalUsers"), err) &&
        gtv_desired_load_file(desired, gtv_yaml_get(yaml, "pathDefaults"), gtv_yaml_get(yaml, "paths"), err);
    gtv_desired_destroy(desired);
    gtv_auth_destroy(auth);
    return ok;
}
