#include "lib/config/internal.h"

#include <assert.h>
#include <stdio.h>

static const char *const types[] = {[GTV_OPT_STRING] = "text",
                                    [GTV_OPT_INT] = "integer",
                                    [GTV_OPT_DOUBLE] = "number",
                                    [GTV_OPT_BOOL] = "switch"};

void config_flag_of(const struct gtv_option *o, char out[CONFIG_FLAG_CAP])
{
    size_t i = 0;
    for (; o->env[i] && i + 1 < CONFIG_FLAG_CAP; i++) {
        char c = o->env[i];
        out[i] = (char)(c == '_' ? '-' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    assert(!o->env[i]);
    out[i] = '\0';
}

static bool is_number(const struct gtv_option *o)
{
    return o->type == GTV_OPT_INT || o->type == GTV_OPT_DOUBLE;
}

void config_print_help(const struct gtv_program *p)
{
    static const char *const values[] = {" TEXT", " N", " X", "[=true|false]"};
    printf("%s %s: %s\n\nUsage: %s [OPTION]...\n\n"
           "Each option is taken from its default, the environment, systemd's credentials, the --config file "
           "and the command line;\nthe later ones count more. NAME_FILE=/path (--name-file /path) takes the "
           "value from a file. What is marked\n\"live\" is taken over from files on SIGHUP.\n\n"
           "  --config FILE         lines of KEY=value with the environment's names\n"
           "  --check-config        check the configuration and exit: 0 if it is right, 2 with a sentence if "
           "not\n"
           "  --options-json        print this table as JSON\n"
           "  --options-markdown    print this table as Markdown\n"
           "  --version             print the version\n"
           "  --help                print this\n",
           p->name, GTV_VERSION, p->purpose, p->name);
    for (size_t i = 0; i < p->command_count; i++)
        printf("\n  --%s %s\n      %s\n", p->commands[i].flag, p->commands[i].value, p->commands[i].help);
    for (size_t i = 0; i < p->count; i++) {
        const struct gtv_option *o = &p->table[i];
        char flag[CONFIG_FLAG_CAP];
        config_flag_of(o, flag);
        printf("\n  --%s%s   (%s%s)\n      %s\n", flag, values[o->type], o->env, o->live ? ", live" : "",
               o->help);
        if (is_number(o))
            printf("      From %.15g to %.15g.\n", o->min, o->max);
        if (o->form)
            printf("      It must be %s.\n", o->form->wanted);
        if (o->def && o->def[0] && !o->secret)
            printf("      Default: %s\n", o->def);
    }
}

static void put_json(const char *s)
{
    if (!s) {
        fputs("null", stdout);
        return;
    }
    putchar('"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void put_json_member(const char *name, const char *value)
{
    printf(", \"%s\": ", name);
    put_json(value);
}

void config_print_json(const struct gtv_program *p)
{
    printf("{\"program\": ");
    put_json(p->name);
    put_json_member("purpose", p->purpose);
    printf(", \"options\": [");
    for (size_t i = 0; i < p->count; i++) {
        const struct gtv_option *o = &p->table[i];
        char flag[CONFIG_FLAG_CAP];
        config_flag_of(o, flag);
        printf("%s\n  {\"name\": ", i ? "," : "");
        put_json(o->env);
        printf(", \"flag\": \"--%s\"", flag);
        put_json_member("type", types[o->type]);
        if (is_number(o))
            printf(", \"min\": %.15g, \"max\": %.15g", o->min, o->max);
        put_json_member("form", o->form ? o->form->wanted : NULL);
        put_json_member("default", o->def);
        printf(", \"secret\": %s, \"live\": %s", o->secret ? "true" : "false", o->live ? "true" : "false");
        put_json_member("help", o->help);
        printf("}");
    }
    printf("\n]}\n");
}

// What would end a cell or begin markup.
static void put_cell(const char *s)
{
    for (; *s; s++) {
        if (strchr("|*_<[`\\", *s))
            putchar('\\');
        putchar(*s);
    }
}

static void put_range(const struct gtv_option *o)
{
    switch (o->type) {
    case GTV_OPT_BOOL:
        printf("true or false");
        return;
    case GTV_OPT_STRING:
        if (o->form)
            put_cell(o->form->wanted);
        else
            printf("text");
        break;
    case GTV_OPT_INT:
    case GTV_OPT_DOUBLE:
        printf("%s, %.15g to %.15g", types[o->type], o->min, o->max);
        break;
    }
    if (o->secret)
        printf("; secret");
}

void config_print_markdown(const struct gtv_program *p)
{
    printf("## %s\n\n%s.\n\n"
           "| environment and flag | what | must be | default | live |\n|---|---|---|---|---|\n",
           p->name, p->purpose);
    for (size_t i = 0; i < p->count; i++) {
        const struct gtv_option *o = &p->table[i];
        char flag[CONFIG_FLAG_CAP];
        config_flag_of(o, flag);
        printf("| `%s`<br>`--%s` | ", o->env, flag);
        put_cell(o->help);
        printf(" | ");
        put_range(o);
        if (o->def && o->def[0])
            printf(" | `%s` |%s\n", o->def, o->live ? " yes |" : " |");
        else
            printf(" | |%s\n", o->live ? " yes |" : " |");
    }
    for (size_t i = 0; i < p->command_count; i++) {
        printf("\n`--%s %s`, on the command line only: ", p->commands[i].flag, p->commands[i].value);
        put_cell(p->commands[i].help);
        printf("\n");
    }
}
