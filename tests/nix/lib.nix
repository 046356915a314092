# As much of nixpkgs' lib as packaging/nix needs to be evaluated where there is no nixpkgs: option types that check,
# and modules that merge with priorities. NIXPKGS_LIB names the real one.
let
  inherit (builtins)
    all
    attrNames
    attrValues
    concatLists
    concatStringsSep
    elem
    filter
    foldl'
    hasAttr
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    split
    ;

  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  unique = foldl' (found: item: if elem item found then found else found ++ [ item ]) [ ];
  at = path: set: foldl' (inside: key: inside.${key}) set path;
  has = path: set: path == [ ] || (isAttrs set && hasAttr (head path) set && has (builtins.tail path) set.${head path});

  # values with priorities and conditions: lib/modules.nix
  override = priority: content: {
    _type = "override";
    inherit priority content;
  };
  # every definition below a value, each as { priority, value }
  definitions =
    value:
    if isAttrs value && (value._type or "") == "if" then
      if value.condition then definitions value.content else [ ]
    else if isAttrs value && (value._type or "") == "override" then
      map (found: found // { inherit (value) priority; }) (definitions value.content)
    else
      [
        {
          priority = 100;
          inherit value;
        }
      ];
  merge =
    place: values:
    let
      found = concatLists (map definitions values);
      best = foldl' (least: item: if item.priority < least then item.priority else least) 9999 found;
      kept = map (item: item.value) (filter (item: item.priority == best) found);
      first = head kept;
    in
    if found == [ ] then
      throw "${place} is not defined"
    else if all (item: isAttrs item && !(item ? type && item.type == "derivation")) kept then
      let
        keys = unique (concatLists (map attrNames kept));
        defined = filter (
          key: concatLists (map definitions (map (item: item.${key}) (filter (hasAttr key) kept))) != [ ]
        ) keys;
      in
      listToAttrs (
        map (key: {
          name = key;
          value = merge "${place}.${key}" (map (item: item.${key}) (filter (hasAttr key) kept));
        }) defined
      )
    else if all isList kept then
      concatLists kept
    else if length kept == 1 || all (item: item == first) kept then
      first
    else
      throw "${place} has conflicting definitions";

  # a type is what it makes of a value, or throws
  type = name: check: {
    inherit name;
    take = place: value: if check value then value else throw "${place} is not of type ${name}";
  };
  types = {
    str = type "str" isString;
    bool = type "bool" isBool;
    int = type "int" isInt;
    package = type "package" isAttrs;
    anything = type "anything" (_: true);
    strMatching = pattern: type "strMatching ${pattern}" (value: isString value && match pattern value != null);
    enum = values: type "enum" (value: elem value values);
    nullOr = inner: {
      name = "nullOr";
      take = place: value: if value == null then null else inner.take place value;
    };
    listOf = inner: {
      name = "listOf";
      take =
        place: value: if isList value then map (inner.take place) value else throw "${place} is not a list";
    };
    attrsOf = inner: {
      name = "attrsOf";
      take =
        place: value:
        if isAttrs value then
          mapAttrs (key: (inner.takeNamed or (_: inner.take)) key "${place}.${key}") value
        else
          throw "${place} is not a set";
    };
    submodule = module: rec {
      name = "submodule";
      takeNamed =
        name: place: value:
        options place (if isFunction module then module { inherit name; } else module).options value;
      take = takeNamed "";
    };
    addCheck = inner: check: inner // {
      take = place: value: if check value then inner.take place value else throw "${place} is refused";
    };
  };
  # the values of all options of a set; what is none of them is refused
  options =
    place: declared: given:
    let
      stray = filter (key: !(hasAttr key declared)) (attrNames given);
    in
    if stray != [ ] then
      throw "${place}.${head stray} does not exist"
    else
      mapAttrs (
        key: option:
        if (option._type or "") == "option" then
          if hasAttr key given then
            (option.apply or (value: value)) (option.type.take "${place}.${key}" given.${key})
          else
            option.default or (throw "${place}.${key} is missing")
        else
          options "${place}.${key}" option (given.${key} or { })
      ) declared;

  lib = rec {
    inherit
      all
      concatStringsSep
      mapAttrs
      mapAttrsToList
      types
      ;
    concatMap = f: list: concatLists (map f list);
    filterAttrs =
      keep: set: listToAttrs (concatMap (name: optional (keep name set.${name}) { inherit name; value = set.${name}; }) (attrNames set));
    mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
    optional = condition: item: if condition then [ item ] else [ ];
    splitString = by: text: filter isString (split by text);
    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      _:
      mkOption {
        type = types.bool;
        default = false;
      };
    mkIf = condition: content: {
      _type = "if";
      inherit condition content;
    };
    mkDefault = override 1000;
    mkForce = override 50;
    evalModules =
      { modules, specialArgs }:
      let
        loaded = map (
          module:
          let
            made = if isFunction module || isAttrs module then module else import module;
          in
          if isFunction made then made (specialArgs // { inherit config lib; }) else made
        ) modules;
        bodies = map (module: module.config or (removeAttrs module [ "options" "imports" ])) loaded;
        merged = merge "config" (map (body: if (body._type or "") == "if" then body else removeAttrs body [ "services" ]) bodies);
        declared = foldl' (known: module: known // (module.options.services or { })) { } loaded;
        # what is set under a condition may depend on these: real modules are lazier, and packaging/nix sets none there
        given = map (body: body.services) (filter (body: (body._type or "") != "if" && body ? services) bodies);
        config = {
          boot = merged.boot or { };
          environment = merged.environment or { };
          systemd = merged.systemd or { };
          microvm = merged.microvm or { };
          services = options "services" declared (merge "services" given);
        };
      in
      {
        inherit config;
      };
  };
in
lib
